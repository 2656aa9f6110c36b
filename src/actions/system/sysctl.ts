import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { flag, oneOf, text } from "../shared/params.ts";
import { failureText, runTool } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const valueSchema = v.optional(
  v.pipe(
    v.union([v.string(), v.number(), v.boolean()]),
    v.transform((given) => {
      // As in Ansible, words for bools are numbers: the kernel knows no words for them.
      const text = String(given).trim();
      return /^(?:yes|on|true)$/i.test(text) ? "1" : /^(?:no|off|false)$/i.test(text) ? "0" : text;
    }),
    v.regex(/^.*$/, "must be one line"),
    v.description("The value; required unless `state` is `absent`."),
  ),
);

// A name of another form would not be recognised in the file, and added again by every run.
const nameSchema = (description: string) =>
  v.optional(
    v.pipe(text(description), v.regex(/^[^\s=#;-][^\s=#;]*$/, 'must be a setting, such as "vm.swappiness"')),
  );

const params = v.pipe(
  v.strictObject({
    name: nameSchema("The setting, such as `net.ipv4.ip_forward`."),
    key: nameSchema("The same as `name`."),
    value: valueSchema,
    val: valueSchema,
    state: oneOf(
      ["present", "absent"],
      "present",
      "Set or remove it in the file; the running kernel keeps its value when it is removed.",
    ),
    sysctl_file: v.optional(
      v.pipe(
        v.string(),
        v.startsWith("/", "must be an absolute path"),
        v.description("The file; it is made when it does not exist."),
      ),
      "/etc/sysctl.conf",
    ),
    sysctl_set: flag("Compare and set the value in the running kernel too."),
    reload: flag("Load the file after a change.", true),
    ignoreerrors: flag("Skip settings that the kernel does not know."),
  }),
  v.check(
    ({ name, key }) => (name === undefined) !== (key === undefined),
    "name is required, and key is the same; give one of them",
  ),
  v.check(
    ({ value, val, state }) => state === "absent" || (value ?? val ?? "") !== "",
    "value is required to set it",
  ),
);

interface SysctlChange extends Change {
  readonly file: FileChange | null;
  /** True when the kernel's value is another than the wanted one. */
  readonly isKernelOther: boolean;
}

/** Set kernel settings. */
export const sysctl = defineAction<typeof params, SysctlChange>({
  name: "sysctl",
  doc: `Set a kernel setting in a sysctl file, and with \`sysctl_set\` in the running kernel.

As with Ansible, \`sysctl_set\` sets the running kernel before the file is written, and \`reload\` loads the whole file with \`sysctl -p\` after a change, or where the kernel's value is another. A file that cannot be loaded stays as it was written. White space within a value does not matter; of a setting that occurs several times one line is kept.`,
  params,
  examples: [
    { name: "vm.swappiness", value: 10 },
    { name: "net.ipv4.ip_forward", value: 1, sysctl_set: true, sysctl_file: "/etc/sysctl.d/50-router.conf" },
  ],
  title: ({ name, key }) => name ?? key ?? "",

  async inspect(given, system, context) {
    const { name, key, value, val, state, sysctl_file: path, sysctl_set: sets } = given;
    const setting = name ?? key ?? "";
    const wanted = state === "absent" ? null : (value ?? val ?? "");
    const current = await system.readIfExists(path);
    const before = bytesToText(current ?? new Uint8Array());
    const content = editSysctl(before, setting, wanted);
    const file = content === before ? null : await inspectFile({ system, context, path, content, current });
    const kernelPath = sysctlPath(setting);
    const kernel = (sets || given.reload) && wanted !== null ? await system.readIfExists(kernelPath) : null;
    if (sets && wanted !== null && kernel === null && !given.ignoreerrors) {
      const message = `the kernel has no setting ${setting}`;
      if (!context.check)
        throw new VolleyError("ACTION_FAILED", `${message}; load its module first, or set ignoreerrors`);
      return { file, isKernelOther: false, unknown: `${message}; an earlier task may load its module` };
    }
    const now = kernel === null ? null : normalizeSysctl(kernel.toString("utf8"));
    const isKernelOther = now !== null && wanted !== null && now !== normalizeSysctl(wanted);
    if (file === null && !isKernelOther) return unchanged();
    const diff = [
      ...(file === null ? [] : [file.diff]),
      ...(isKernelOther ? [{ path: kernelPath, before: `${now}\n`, after: `${wanted}\n` }] : []),
    ];
    return { file, isKernelOther, diff };
  },

  async apply({ file, isKernelOther }, given, system, { signal }) {
    const { name, key, value, val, sysctl_file: path, sysctl_set: sets, reload } = given;
    const tool = ["sysctl", ...(given.ignoreerrors ? ["-e"] : [])];
    if (sets && isKernelOther) {
      const assignment = `${name ?? key}=${value ?? val}`;
      await runTool(system, [...tool, "-w", assignment], `set ${assignment} in the running kernel`, {
        signal,
      });
    }
    if (file !== null) await applyFile(file, system);
    if (!reload) return;
    const loaded = await system.run([...tool, "-p", path], { signal });
    if (loaded.code === 0) return;
    const reason = failureText(loaded);
    throw new VolleyError("ACTION_FAILED", `cannot load ${path}: ${reason}`, {
      hint: /denied|Read-only/.test(reason)
        ? "it needs root, and a container may not change most settings: with reload: false they are set at the next boot"
        : "set ignoreerrors to pass over settings this kernel does not know",
    });
  },
});

const ENTRY = /^\s*-?\s*([^\s=#;]+)\s*=\s*(.*?)\s*$/;

/** Return the path of a key in `/proc/sys`: of `.` and `/` the first in the key is the separator (sysctl.d(5)). */
export function sysctlPath(key: string): string {
  const slashed = /^[^./]*\//.test(key)
    ? key
    : key.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  return `/proc/sys/${slashed}`;
}

/** Collapse the white space of a value, as the kernel compares lists of numbers. */
function normalizeSysctl(value: string): string {
  return value.trim().split(/\s+/).join(" ");
}

/** Set a key in the text of a sysctl.conf(5) file, or remove it with null; comments and other keys stay. */
function editSysctl(text: string, key: string, value: string | null): string {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  let done = value === null;
  const edited = lines.flatMap((line) => {
    const [, name, current = ""] = /^\s*[#;]/.test(line) ? [] : (ENTRY.exec(line) ?? []);
    if (name === undefined || sysctlPath(name) !== sysctlPath(key)) return [line];
    if (value === null || done) return [];
    done = true;
    return normalizeSysctl(current) === normalizeSysctl(value) ? [line] : [`${key}=${value}`];
  });
  if (!done) edited.push(`${key}=${value}`);
  if (edited.length === lines.length && edited.every((line, index) => line === lines[index])) return text;
  return edited.map((line) => `${line}\n`).join("");
}
