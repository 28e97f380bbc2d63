// Pages as tests read them: fenced blocks, the commands in them, and what each is said to answer.

export interface Block {
  readonly language: string;
  /** What stands behind the language. */
  readonly rest: string;
  readonly text: string;
}

export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```([a-z]*) ?(.*)\n([\s\S]*?)^```$/gm)].map(([, language = '', rest = '', text = '']) => ({
    language,
    rest,
    text,
  }));
}

/** A command of a block, and the lines behind it that begin with `# `: what it answers. */
export interface Shown {
  readonly command: string;
  readonly answers: readonly string[];
}

/** A command is a line, and those that a backslash at its end draws in. */
export function commandsOf(text: string): Shown[] {
  const shown: { command: string; answers: string[] }[] = [];
  for (const line of text.replaceAll('\\\n', '').split('\n')) {
    if (line.startsWith('# ')) shown.at(-1)?.answers.push(line.slice(2).trim());
    else if (line.trim() !== '') shown.push({ command: line, answers: [] });
  }
  return shown;
}

/** The first of the answers that is not in the output, or null: each is a part of a line, `...` is anything. */
export function missingAnswer(output: string, answers: readonly string[]): string | null {
  const lines = output.split(/\r?\n/);
  let at = 0;
  for (const answer of answers) {
    const parts = answer.split('...');
    while (at < lines.length && !holds(lines[at] as string, parts)) at++;
    if (at++ >= lines.length) return answer;
  }
  return null;
}

function holds(line: string, parts: readonly string[]): boolean {
  let from = 0;
  for (const part of parts) {
    const found = line.indexOf(part.trim(), from);
    if (found < 0) return false;
    from = found + part.trim().length;
  }
  return true;
}
