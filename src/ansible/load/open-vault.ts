import { messageOf, type SourceLocation } from "../../core/errors.ts";
import { Data } from "../../core/values/value.ts";
import { Vaulted, type VaultedText, type VaultedValue } from "../../core/values/vaulted.ts";
import { isTemplate } from "../../vars/scope.ts";
import type { Needs } from "../ir.ts";
import { placeText } from "../place.ts";
import { fillVaulted } from "../vaulted.ts";
import { NeedNotes } from "./needs.ts";
import { readVars } from "./read.ts";

/** Decrypts texts of Ansible Vault. */
export interface VaultOpener {
  openVaultFile(text: string, file: string): Promise<string>;
  openVaultValue(text: string, location: SourceLocation): Promise<string>;
}

/** The encrypted texts of a playbook, opened. */
export interface OpenedTexts {
  /** In the order of the texts. */
  readonly values: readonly VaultedValue[];
  /** Why only a controller can render them. */
  readonly needs: Needs;
}

/**
 * Open the encrypted texts of a playbook. As in Ansible, texts of a file that is encrypted as a whole are templates; a
 * value by itself never is. Fails with `SECRET_FAILED` or `PLAYBOOK_INVALID` for a file that is needed in any case; other
 * texts that cannot be opened fail what asks for them. `isStrict`: all texts are needed.
 */
export async function openTexts(
  texts: readonly VaultedText[],
  opener: VaultOpener,
  isStrict = false,
): Promise<OpenedTexts> {
  const values: VaultedValue[] = [];
  const needs = new NeedNotes();
  for (const text of texts) {
    try {
      const value = text.kind === "file" ? await openFile(text, opener) : await openValue(text, opener);
      needs.value(value, text.file);
      values.push({ value });
    } catch (thrown) {
      if (isStrict || (text.kind === "file" && !text.isLate)) throw thrown;
      const { file, line } = text;
      const at = placeText(line === undefined ? { file } : { file, line });
      values.push({ error: `${at}: ${messageOf(thrown)}` });
    }
  }
  return { values, needs: needs.all };
}

async function openValue({ text, file, line }: VaultedText, opener: VaultOpener): Promise<string | Data> {
  const clear = await opener.openVaultValue(text, line === undefined ? { file } : { file, line });
  return isTemplate(clear) ? new Data(clear) : clear;
}

/** Return the vars of an encrypted file; values in it may be encrypted once more. */
async function openFile({ text, file }: VaultedText, opener: VaultOpener): Promise<unknown> {
  const inner: VaultedText[] = [];
  const clear = await opener.openVaultFile(text, file);
  const vars = readVars(clear, file, (sealed, { line }) => {
    const one = { kind: "value" as const, text: sealed, file, isLate: false };
    const index = inner.push(line === undefined ? one : { ...one, line }) - 1;
    return new Vaulted(index, file);
  });
  if (inner.length === 0) return vars;
  return fillVaulted(vars, (await openTexts(inner, opener, true)).values);
}
