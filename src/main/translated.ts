// What objects mean together, without serving them: for commands that look at files.

import type { KubeObject } from '../api/object.ts';
import { Store } from '../store/store.ts';
import type { TranslatorOptions } from '../translate/context.ts';
import { Translator } from '../translate/translator.ts';
import { DEFAULT_TRANSLATION } from './resources.ts';

export function translated(objects: readonly KubeObject[], more: Partial<TranslatorOptions> = {}): Translator {
  const store = new Store();
  const keys = store.apply(objects, []);
  const translator = new Translator({ ...DEFAULT_TRANSLATION, ...more });
  translator.update(store, { keys });
  return translator;
}
