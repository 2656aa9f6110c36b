import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { fullName } from "../../core/unix/full-name.ts";
import { defineAction } from "../define.ts";
import { runsSystemd } from "../services/unit.ts";
import { failureText } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const FILE = "/etc/hostname";
const KERNEL = "/proc/sys/kernel/hostname";
// RFC 1123, and no longer than Linux takes.
const NAME =
  /^(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

const STRATEGIES = [
  ...["alpine", "debian", "freebsd", "generic", "macos", "macosx", "darwin"],
  ...["openbsd", "openrc", "redhat", "sles", "solaris", "systemd"],
] as const;

const params = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(NAME, "must be letters, digits, hyphens and dots, at most 64 of them"),
    v.description("The host name."),
  ),
  use: v.optional(
    v.pipe(v.picklist(STRATEGIES), v.description("Accepted and ignored: the host's own method is used.")),
  ),
});

interface HostnameChange extends Change {
  readonly file: FileChange | null;
  readonly setsKernel: boolean;
}

/** The data of a hostname task. */
interface HostnameData {
  readonly name: string;
  readonly ansible_facts: {
    readonly ansible_hostname: string;
    readonly ansible_nodename: string;
    readonly ansible_fqdn: string;
    readonly ansible_domain: string;
  };
}

/** Set the system's host name. */
export const hostname = defineAction<typeof params, HostnameChange, HostnameData>({
  name: "hostname",
  doc: `Set the system's host name, now and for the next boot.

\`/etc/hostname\` and the kernel's name are both compared; \`hostnamectl\`, or \`hostname\` without systemd, sets the latter. With systemd, a new name becomes the pretty name in \`/etc/machine-info\` too. The facts of the name are set anew. As in Ansible, \`/etc/hosts\` is left alone. The task fails in a container that may not change its name.`,
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
    // Without /proc this is the tree of an image under construction: set the name of its next boot only.
    const setsKernel = kernel !== undefined && kernel !== name;
    if (file === null && !setsKernel) return unchanged(await dataOf(name, system));
    const diff = [
      ...(file === null ? [] : [file.diff]),
      ...(setsKernel ? [{ path: KERNEL, before: `${kernel}\n`, after: `${name}\n` }] : []),
    ];
    return { file, setsKernel, diff, data: await dataOf(name, system) };
  },

  async apply({ file, setsKernel }, { name }, system, { signal }) {
    const withSystemd = (await runsSystemd(system)) && (await system.which("hostnamectl")) !== null;
    const control = (...command: readonly string[]) =>
      system.run(["hostnamectl", ...command, name], { signal });
    if (setsKernel) {
      // hostnamectl needs D-Bus, which a small system may lack.
      const isSet = withSystemd && (await control("set-hostname")).code === 0;
      const result = isSet ? null : await system.run(["hostname", name], { signal });
      if (result !== null && result.code !== 0) {
        throw new VolleyError(
          "ACTION_FAILED",
          `cannot set the host name to ${name}: ${failureText(result)}`,
          {
            hint: "it needs root, and in a container the right to change its name",
          },
        );
      }
    }
    // As Ansible does, with the name for the next boot: /etc/machine-info keeps this one.
    if (withSystemd && file !== null) await control("--pretty", "set-hostname");
    // After hostnamectl, which writes the file too, but perhaps with another mode.
    const applied = file === null ? {} : await applyFile(file, system);
    return { ...applied, data: await dataOf(name, system) };
  },
});

/** The facts that the name makes true. */
async function dataOf(name: string, system: ReadSystem): Promise<HostnameData> {
  const hosts = (await system.readIfExists("/etc/hosts"))?.toString("utf8").split("\n") ?? [];
  const fqdn = fullName(name, hosts);
  return {
    name,
    ansible_facts: {
      ansible_hostname: name.split(".")[0] ?? name,
      ansible_nodename: name,
      ansible_fqdn: fqdn,
      ansible_domain: fqdn.split(".").slice(1).join("."),
    },
  };
}
