import { posix } from "node:path";
import { commandWords } from "../../actions/shared/run-tool.ts";
import { VolleyError } from "../../core/errors.ts";
import { filesOf } from "./assets.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";
import { sendsAsItIs } from "./sealed-files.ts";

// Modules that run programs without Ansible's Python on the host.

/** `script`: a program of the controller's, run on the host. */
export async function script(call: RenderedCall): Promise<ModuleEnd> {
  const { _raw_params: raw, cmd, chdir, creates, removes, executable } = call.args;
  const line = String(raw ?? cmd ?? "");
  const [name = "", ...given] = commandWords(line);
  if (name === "") throw new VolleyError("PARAMS_INVALID", "script needs the name of a file");
  const exists = async (path: unknown): Promise<boolean> =>
    (await call.system.stat(await pathOf(call, String(path), chdir))) !== null;
  const skip = (msg: string): ModuleEnd => ({
    register: { changed: false, failed: false, skipped: true, msg },
  });
  if (creates !== undefined && (await exists(creates)))
    return skip(`${String(creates)} exists, matching creates option`);
  if (removes !== undefined && !(await exists(removes)))
    return skip(`${String(removes)} does not exist, matching removes option`);
  const asset = filesOf(call.interpreter, call.frame, call.templar, sendsAsItIs(call.args)).asset(
    "files",
    name,
  );
  const { system } = call;
  const directory = await system.temporaryDirectory();
  const path = posix.join(directory, posix.basename(name));
  if (!call.check) await system.writeFile(path, asset.read(), { mode: 0o700 });
  const argv =
    executable === undefined ? [path, ...given] : [...commandWords(String(executable)), path, ...given];
  const end = await call.perform("command", {
    argv,
    strip_empty_ends: false,
    ...(chdir === undefined ? {} : { chdir }),
  });
  // As in Ansible, check mode knows of a program with a condition that the program would run.
  if (call.check && (creates !== undefined || removes !== undefined))
    return { register: { changed: true, failed: false } };
  return asRaw(end, call.check ? "Check mode is not supported for this task." : undefined);
}

/** Make the register of a program that runs without Ansible's Python: the output as it is, and a message of failures alone. */
function asRaw(end: ModuleEnd, skipped?: string): ModuleEnd {
  const { cmd: _cmd, start: _start, end: _end, delta: _delta, msg, ...register } = end.register;
  if (register.skipped === true) {
    const { changed, failed } = register;
    const said = skipped === undefined ? {} : { msg: skipped };
    return { ...end, register: { changed, failed, skipped: true, ...said } };
  }
  return { ...end, register: { ...register, ...(msg === "" ? {} : { msg }) } };
}

/** Return a path of a program's, which begins at its working directory. */
async function pathOf({ system }: RenderedCall, path: string, chdir: unknown): Promise<string> {
  if (/^[/~]/.test(path)) return path;
  return posix.join(chdir === undefined ? await system.workingDirectory() : String(chdir), path);
}

/** `raw`: a command line for the login shell, whatever it changes. */
export async function raw(call: RenderedCall): Promise<ModuleEnd> {
  const { _raw_params: text, executable } = call.args;
  const end = await call.perform("shell", {
    cmd: String(text ?? ""),
    strip_empty_ends: false,
    ...(executable === undefined ? {} : { executable }),
  });
  return asRaw(end);
}
