import { posix } from "node:path";
import { commandWords } from "../../actions/shared/run-tool.ts";
import { VolleyError } from "../../core/errors.ts";
import { filesOf } from "./assets.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Modules that run programs without Ansible's Python on the host.

/** `script`: a program of the controller's, run on the host. */
export async function script(call: RenderedCall): Promise<ModuleEnd> {
  const { _raw_params: raw, cmd, chdir, creates, removes, executable } = call.args;
  const line = String(raw ?? cmd ?? "");
  const [name = "", ...given] = commandWords(line);
  if (name === "") throw new VolleyError("PARAMS_INVALID", "script needs the name of a file");
  const asset = filesOf(call.interpreter, call.frame, call.templar).asset("files", name);
  const { system } = call;
  const directory = await system.temporaryDirectory();
  const path = posix.join(directory, posix.basename(name));
  if (!call.check) await system.writeFile(path, asset.read(), { mode: 0o700 });
  const argv =
    executable === undefined ? [path, ...given] : [...commandWords(String(executable)), path, ...given];
  const end = await call.perform("command", {
    argv,
    ...(chdir === undefined ? {} : { chdir }),
    ...(creates === undefined ? {} : { creates }),
    ...(removes === undefined ? {} : { removes }),
  });
  const { cmd: _cmd, start: _start, end: _end, delta: _delta, ...register } = end.register;
  return { ...end, register };
}

/** `raw`: a command line for the login shell, whatever it changes. */
export async function raw(call: RenderedCall): Promise<ModuleEnd> {
  const { _raw_params: text, executable } = call.args;
  const end = await call.perform("shell", {
    cmd: String(text ?? ""),
    ...(executable === undefined ? {} : { executable }),
  });
  const { cmd: _cmd, start: _start, end: _end, delta: _delta, ...register } = end.register;
  return { ...end, register };
}
