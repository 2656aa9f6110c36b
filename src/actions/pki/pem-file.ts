import * as v from "valibot";
import type { ActionContext, Applied, Change, Unchanged } from "../../core/action.ts";
import { unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import type { FileContext } from "../accounts/accounts.ts";
import { applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { backup, fileAttributes, filePath, flag, oneOf, optionalText } from "../shared/params.ts";
import { parentOf } from "../shared/paths.ts";
import { applyFile, inspectFile, makeBackup } from "../shared/write-file.ts";

// Files of keys, requests and certificates, which Volley itself makes: hosts need no openssl and no Python.

/** The parameters that all of them have. */
export const pemParams = {
  path: filePath,
  state: oneOf(["present", "absent"], "present", "Make or remove the file."),
  force: flag("Make it anew even if it is as asked for."),
  backup,
  return_content: flag("Return the content of the file."),
  select_crypto_backend: optionalText("Accepted and ignored: Volley makes the file itself."),
  ...fileAttributes,
};

const given = v.strictObject(pemParams);
type PemGiven = v.InferOutput<typeof given>;

/** The need of a file: to be made or removed, or other attributes. */
export interface PemChange extends Change {
  readonly deed: "make" | "remove" | "attributes";
}

/** The parts in which the kinds of files differ. */
export interface PemKind<Data> {
  /** The word for the content, in differences. */
  readonly word: string;
  /** Return why the content is to be made anew; null where it is as asked for. */
  reason(text: string): Promise<string | null>;
  /** Return why nothing can be known yet: a file that it is made of is not there. */
  readonly missing?: string | undefined;
  data(text: string | null): Promise<Data>;
}

/** Compare a file with what is asked for. */
export async function inspectPem<Data>(
  params: PemGiven,
  system: ReadSystem,
  context: Pick<ActionContext, "check"> & FileContext,
  { word, reason, missing, data }: PemKind<Data>,
): Promise<PemChange | Unchanged<Data>> {
  const { path, state, force } = params;
  const file = await system.stat(path);
  if (state === "absent") {
    if (file === null) return unchanged(await data(null));
    return { deed: "remove", diff: { path, before: `${word}\n`, after: null } };
  }
  if (!context.check && (await system.stat(parentOf(path)))?.type !== "directory")
    throw new VolleyError("ACTION_FAILED", `the directory ${parentOf(path)} does not exist`);
  if (missing !== undefined) {
    if (!context.check) throw new VolleyError("ACTION_FAILED", missing);
    return { deed: "make", unknown: missing };
  }
  const why =
    file === null
      ? "it is not there"
      : force
        ? "it is forced"
        : await reason(bytesToText(await system.readFile(path)));
  if (why !== null)
    return {
      deed: "make",
      message: why,
      diff: { path, before: file === null ? null : `${word}\n`, after: `${word}: new\n` },
    };
  const attributes = await inspectAttributes(system, path, file, params, context);
  if (attributes !== null) return { deed: "attributes", diff: attributes.diff };
  return unchanged(await data(bytesToText(await system.readFile(path))));
}

/** Make or remove a file, or set its attributes. A new one has this mode, where none is asked for. */
export async function applyPem<Data extends object>(
  { deed }: PemChange,
  params: PemGiven,
  system: System,
  context: ActionContext,
  { make, data, mode }: Pick<PemKind<Data>, "data"> & { make(): Promise<string>; readonly mode?: number },
): Promise<Applied<Data & { backup_file?: string }>> {
  const { path } = params;
  if (deed === "remove") {
    const copy = params.backup ? await makeBackup(system, path) : undefined;
    await system.remove(path);
    return { data: { ...(await data(null)), ...(copy === undefined ? {} : { backup_file: copy }) } };
  }
  if (deed === "attributes") {
    const change = await inspectAttributes(system, path, await system.stat(path), params, context);
    if (change !== null) await applyAttributes(change, system);
    return { data: await data(bytesToText(await system.readFile(path))) };
  }
  const content = await make();
  const isNew = (await system.stat(path)) === null;
  const change = await inspectFile({
    system,
    context,
    content,
    ...params,
    ...(params.mode === undefined && mode !== undefined && isNew ? { mode } : {}),
  });
  const { data: written = {}, message } = change === null ? {} : await applyFile(change, system);
  return {
    data: { ...(await data(content)), ...written },
    ...(message === undefined ? {} : { message }),
  };
}
