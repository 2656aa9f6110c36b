import { posix } from "node:path";
import { readBool } from "../../actions/coerce.ts";
import { commandWords } from "../../actions/shared/run-tool.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { candidates, isSealedFile } from "../files.ts";
import type { ModuleCall } from "./call.ts";

// Files that are encrypted with Ansible Vault, as what modules send to hosts: the controller opens them, and keeps them in
// clear in its memory alone.

/** The modules that send files in clear, with the directory of a role that the files are in. */
const OPENS: Readonly<Record<string, "files" | "templates">> = {
  assemble: "files",
  copy: "files",
  script: "files",
  template: "templates",
  unarchive: "files",
};

/** True for a module that is to send files as they are: `decrypt: false`. */
export function sendsAsItIs(args: Readonly<Record<string, unknown>>): boolean {
  return args.decrypt !== undefined && readBool(args.decrypt) === false;
}

/** Say in Ansible's words why a file stays closed; the error of a missing password alone has advice on passwords. */
function refuse(thrown: unknown, path: string): never {
  if (!isVolleyError(thrown) || thrown.code !== "SECRET_FAILED") throw thrown;
  const isMissing = thrown.hint?.startsWith("give one") === true;
  throw new VolleyError(
    "SECRET_FAILED",
    isMissing
      ? `A vault password or secret must be specified to decrypt ${path}`
      : `Decryption failed (no vault secrets were found that could decrypt) on ${path}`,
  );
}

/** Open the encrypted files that a module is about to send; true where it has some. Fails with `SECRET_FAILED` where no password opens one. */
export async function openSealedFiles(
  { interpreter, frame }: Pick<ModuleCall, "interpreter" | "frame">,
  module: string,
  args: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const { files, host, tree } = interpreter;
  const { world } = host;
  const kind = Object.hasOwn(OPENS, module) ? OPENS[module]! : undefined;
  if (world === undefined || kind === undefined || readBool(args.remote_src) === true || sendsAsItIs(args))
    return false;
  const written =
    module === "script" ? commandWords(String(args._raw_params ?? args.cmd ?? ""))[0] : args.src;
  if (typeof written !== "string" || written === "") return false;
  let hasSome = false;
  const open = async (path: string): Promise<void> => {
    const full = files.fullPath(path);
    if (!files.opened.has(full) && isSealedFile(full))
      files.opened.set(full, await world.openVaultFile(full).catch((thrown) => refuse(thrown, full)));
  };
  for (const path of candidates(files, written, kind, interpreter.rootsOf(frame))) {
    const found = path.replace(/\/$/, "");
    const below = files.tree(found);
    if (below === null && files.file(found) === null) continue;
    // As Ansible meets them: files of a directory before those below it.
    const depth = (each: string): number => each.split("/").length;
    const inOrder = [...(below ?? [""])].sort((a, b) => depth(a) - depth(b));
    for (const each of inOrder) {
      await open(posix.join(found, each));
      hasSome ||= files.opened.has(files.fullPath(posix.join(found, each)));
    }
    break;
  }
  // A template may include others; those that no password opens matter only where it does.
  if (kind === "templates")
    for (const path of tree.sealedFiles ?? [])
      if (/(?:^|\/)templates\//.test(path)) await open(path).catch(() => {});
  return hasSome;
}
