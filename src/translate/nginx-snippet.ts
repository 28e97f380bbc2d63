// What of nginx.conf stands in a snippet, as far as it tells whether somebody is refused by it: statements with the
// blocks around them, by nginx's own rules of words, quotes and comments.

interface Statement {
  readonly words: readonly string[];
  /** What stands in front of the braces around it, the innermost last; good until the next one is asked for. */
  readonly blocks: readonly string[];
}

/** By these somebody is refused, whatever stands behind them but `off`. */
const REFUSES: readonly RegExp[] = [
  /^(?:deny|internal|satisfy|valid_referers|limit_(?:req|conn|except)|auth_request)$/,
  /^(?:auth_(?:basic|jwt|digest|pam|ldap|gssapi)|secure_link)(?:_\w+)?$/,
  /^(?:modsecurity(?:_rules\w*)?|access_by_lua\w*)$/,
];
const LUA = /^(?:server_)?(?:rewrite|content)_by_lua/;
/** Pages that browsers and crawlers ask for by themselves: nobody is kept out of anything. */
const NOBODY = /^location = \/(?:favicon\.ico|robots\.txt|apple-touch-icon[\w-]*\.png)$/;
const SHOWN = 60;

/** The first statement by which somebody is refused, as it may be shown; null: there is none. */
export function restriction(snippet: string): string | null {
  for (const { words, blocks } of statementsOf(snippet)) {
    if (!refuses(words, snippet) || blocks.some((block) => NOBODY.test(block))) continue;
    const block = blocks.at(-1);
    const text = `${block === undefined ? '' : `${block} { `}${words.join(' ')}`;
    return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
  }
  return null;
}

/** Whether a snippet has nothing but `proxy_set_header` with fields and values of `told` (names in lower case). */
export function setsOnly(snippet: string, told: ReadonlyMap<string, readonly string[]>): boolean {
  for (const { words, blocks } of statementsOf(snippet)) {
    const [directive, name = '', value = '', ...more] = words;
    if (directive !== 'proxy_set_header' || blocks.length > 0 || more.length > 0) return false;
    if (told.get(name.toLowerCase())?.includes(value.replace(/\$\{(\w+)\}/g, '$$$1')) !== true) return false;
  }
  return true;
}

function refuses([name = '', first = '']: readonly string[], snippet: string): boolean {
  if (name === 'return') return /^[45]\d\d$/.test(first);
  if (name === 'ssl_verify_client') return first === 'on';
  if (LUA.test(name)) return /ngx\s*\.\s*exit/.test(snippet);
  return first !== 'off' && REFUSES.some((pattern) => pattern.test(name));
}

/** What opens a block is a statement, too. */
function* statementsOf(text: string): Generator<Statement> {
  const blocks: string[] = [];
  let words: string[] = [];
  for (const { word, ends } of wordsOf(text)) {
    if (word !== null) words.push(word);
    if (ends === null) continue;
    if (words.length > 0) yield { words, blocks };
    if (ends === '{') blocks.push(words.join(' '));
    else if (ends === '}') blocks.pop();
    words = [];
  }
  if (words.length > 0) yield { words, blocks };
}

/**
 * Escapes stay. A brace behind a dollar sign is of a variable, a number sign within a word a character of it, and so is
 * a quote that nothing closes.
 */
const WORD = /\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([;{}])|((?:\\.|\$\{[^\s;{}]*\}?|[^\s;{}\\])+|\\)/sy;

function* wordsOf(text: string): Generator<{ readonly word: string | null; readonly ends: string | null }> {
  WORD.lastIndex = 0;
  for (let found = WORD.exec(text); found !== null; found = WORD.exec(text)) {
    const [, double, single, ends, bare] = found;
    const word = double ?? single ?? bare ?? null;
    if (word !== null || ends !== undefined) yield { word, ends: ends ?? null };
  }
}
