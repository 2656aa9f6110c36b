import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/unix/shell.ts";
import { isDict, writeJson } from "../../core/values/value.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

/** Write arguments as `name=value` words, which shells can read. */
function wordsOf(args: Readonly<Record<string, unknown>>): string {
  const words = Object.entries(args).map(
    ([name, value]) => `${name}=${quote(typeof value === "string" ? value : writeJson(value))}`,
  );
  return words.join(" ");
}

/**
 * The program, with its arguments, that a script's first line names; a host's var such as `ansible_python_interpreter`
 * names another. Empty for a program that starts by itself.
 */
async function interpreterOf(
  content: Uint8Array,
  { templar, system }: RenderedCall,
): Promise<readonly string[]> {
  const [first = ""] = Buffer.from(content.subarray(0, 256)).toString("latin1").split("\n");
  const words = first.startsWith("#!") ? first.slice(2).trim().split(/\s+/) : [];
  const [program = "", ...more] = /(?:^|\/)env$/.test(words[0] ?? "") ? words.slice(1) : words;
  if (program === "") return [];
  const name = posix.basename(program);
  const language = name.startsWith("python") ? "python" : name;
  const given = templar.vars[`ansible_${language}_interpreter`];
  if (typeof given === "string" && !given.startsWith("auto")) return [given, ...more];
  if (language !== "python") return [];
  const found = (await system.which("python3")) ?? (await system.which("python"));
  return found === null ? [] : [found, ...more];
}

/**
 * Run a module of a `library` directory: a program that gets the path of a file with its arguments, as JSON or as words,
 * and prints a JSON object. A module in Ansible's Python fails, with the reason.
 */
export async function runLibraryModule(call: RenderedCall): Promise<ModuleEnd> {
  const { interpreter, node, args, system, check, signal } = call;
  const { path, kind } = interpreter.tree.library[node.module]!;
  if (kind === "python")
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `the module ${node.module} (${path}) is written for Ansible's Python, which Volley does not bring`,
      {
        hint: "make it a program that takes its arguments as a JSON file (WANT_JSON)",
      },
    );
  const program = interpreter.files.file(path);
  if (program === null)
    throw new VolleyError("ASSET_MISSING", `the module ${path} is not among the playbook's files`);
  const directory = await system.temporaryDirectory();
  const file = posix.join(directory, posix.basename(path));
  const argumentsFile = posix.join(directory, "args.json");
  const settings = {
    _ansible_check_mode: check,
    _ansible_diff: interpreter.host.job.options.diff,
    _ansible_no_log: call.noLog,
    _ansible_verbosity: interpreter.verbosity,
    _ansible_module_name: node.module,
    _ansible_version: "2.14.18",
  };
  await system.writeFile(file, program.read(), { mode: 0o700 });
  const text = kind === "words" ? wordsOf(args) : writeJson({ ...args, ...settings });
  await system.writeFile(argumentsFile, text, { mode: 0o600 });
  const argv = [...(await interpreterOf(program.read(), call)), file, argumentsFile];
  const { code, stdout, stderr } = await system.run(argv, { signal });
  await system.remove(directory);
  const start = stdout.indexOf("{");
  let result: unknown;
  try {
    result = start < 0 ? undefined : JSON.parse(stdout.slice(start, stdout.lastIndexOf("}") + 1));
  } catch {
    result = undefined;
  }
  if (!isDict(result))
    return {
      register: {
        changed: false,
        failed: true,
        msg: "MODULE FAILURE\nSee stdout/stderr for the exact error",
        module_stdout: stdout,
        module_stderr: stderr,
        rc: code,
      },
    };
  return {
    register: {
      changed: false,
      failed: code !== 0 && !("failed" in result),
      ...(result as Record<string, unknown>),
    },
  };
}
