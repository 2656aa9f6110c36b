import { optionalText } from "../shared/params.ts";
import type { KeySource } from "./keys.ts";

/** The parameters that name a private key: a file, or the key itself. */
export const keyParams = {
  privatekey_path: optionalText("The file of the private key."),
  privatekey_content: optionalText("The private key itself."),
  privatekey_passphrase: optionalText("Passphrase of the private key."),
};

interface KeyParams {
  readonly privatekey_path?: string | undefined;
  readonly privatekey_content?: string | undefined;
  readonly privatekey_passphrase?: string | undefined;
}

/** Return whether parameters name one key, where one is needed. */
export function hasOneKey(given: KeyParams & { readonly state: string }): boolean {
  const { state, privatekey_path: path, privatekey_content: content } = given;
  return state === "absent" || (path === undefined) !== (content === undefined);
}

/** The fault of parameters without {@link hasOneKey}. */
export const ONE_KEY = "either privatekey_path or privatekey_content is needed";

/** Return the key that parameters name. */
export function sourceOf(given: KeyParams): KeySource {
  const { privatekey_path: path, privatekey_content: content, privatekey_passphrase: passphrase } = given;
  return { path, content, passphrase };
}
