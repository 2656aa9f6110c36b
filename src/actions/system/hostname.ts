import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { runsSystemd } from "../services/unit-state.ts";
import { failureText } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const FILE = "/etc/hostname";
const KERNEL = "/proc/sys/kernel/hostname";
// RFC 1123, and no longer than Linux takes.
const NAME =
  /^(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

const params = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(NAME, "must be letters, digits, hyphens and dots, at most 64 of them"),
    v.description("The name."),
  ),
  use: v.optional(v.pipe(v.string(), v.description("Accepted and ignored: what the host has is used."))),
});

interface HostnameChange extends Change {
  readonly file: FileChange | null;
  readonly setsKernel: boolean;
}

/** What the hostname action returns. */
export interface HostnameData {
  readonly name: string;
}

/** Sets the system's host name. */
export const hostname = defineAction<typeof params, HostnameChange, HostnameData>({
  name: "hostname",
  doc: `Set the system's host name, now and for the next boot.

\`/etc/hostname\` and the kernel's own name are both compared; \`hostnamectl\`, or \`hostname\` where systemd does not run, sets the latter. \`/etc/hosts\` is left alone, as by Ansible. In a container that may not change its name this fails, and says so.`,
  params,
  examples: [{ name: "web1" }],
  title: ({ name }) => name,

  async inspect({ name }, system, context) {
    const current = await system.readIfExists(FILE);
    const same = current?.toString("utf8").trim() === name;
    const file = same
      ? null
      : await inspectFile({ system, context, path: FILE, content: `${name}\n`, current });
    const kernel = (await system.readIfExists(KERNEL))?.toString("utf8").trim();
    // Without /proc this is the tree of an image being built: the name is for its next boot.
    const setsKernel = kernel !== undefined && kernel !== name;
    if (file === null && !setsKernel) return unchanged({ name });
    const diff = [
      ...(file === null ? [] : [file.diff]),
      ...(setsKernel ? [{ path: KERNEL, before: `${kernel}\n`, after: `${name}\n` }] : []),
    ];
    return { file, setsKernel, diff };
  },

  async apply({ file, setsKernel }, { name }, system, { signal }) {
    if (setsKernel) {
      const withSystemd = (await runsSystemd(system)) && (await system.which("hostnamectl")) !== null;
      const first = withSystemd ? await system.run(["hostnamectl", "set-hostname", name], { signal }) : null;
      // hostnamectl needs D-Bus, which a small system may not run.
      const result =
        first === null || first.code !== 0 ? await system.run(["hostname", name], { signal }) : first;
      if (result.code !== 0) {
        throw new VolleyError(
          "ACTION_FAILED",
          `cannot set the host name to ${name}: ${failureText(result)}`,
          {
            hint: "it needs root, and in a container the right to change its name",
          },
        );
      }
    }
    // After hostnamectl, which writes the file too but may leave another mode.
    const applied = file === null ? {} : await applyFile(file, system);
    return { ...applied, data: { name } };
  },
});
