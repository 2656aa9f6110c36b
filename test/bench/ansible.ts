import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { FleetHost } from "../fleet/lib/host.ts";
import workload from "./roles/bench88/workload.json" with { type: "json" };

/** Ansible's module for each kind of action of the workload. */
const MODULES: Readonly<Record<string, string>> = {
  file: "file",
  copy_content: "copy",
  copy_src: "copy",
  template: "template",
  blockinfile: "blockinfile",
  command: "command",
  user: "user",
  systemd: "systemd",
  apt: "apt",
  skipped: "command",
};

/** Ansible's environment, with the settings that its own documentation recommends for speed. */
export const ANSIBLE_ENV: Readonly<Record<string, string>> = {
  ANSIBLE_PIPELINING: "1",
  ANSIBLE_HOST_KEY_CHECKING: "0",
  ANSIBLE_FORKS: "50",
  ANSIBLE_NOCOWS: "1",
  ANSIBLE_STDOUT_CALLBACK: "minimal",
  ANSIBLE_DISPLAY_OK_HOSTS: "0",
  ANSIBLE_SSH_ARGS: "-C -o ControlMaster=auto -o ControlPersist=60s",
};

/** True when `ansible-playbook` is installed. */
export function hasAnsible(): boolean {
  return spawnSync("ansible-playbook", ["--version"]).status === 0;
}

/** Writes the same 88 actions as a playbook of Ansible's, and gives its path. */
export function writeAnsiblePlaybook(folder: string): string {
  mkdirSync(folder, { recursive: true });
  for (const name of ["files", "templates"])
    cpSync(join("test/bench/roles/bench88", name), join(folder, name), { recursive: true });
  const tasks = workload.actions.map(([kind, parameters], index) => {
    const { mode, ...rest } = parameters as Record<string, unknown> & { readonly mode?: number };
    return {
      name: `${index} ${kind as string}`,
      [MODULES[kind as string]!]: {
        ...rest,
        ...(mode === undefined ? {} : { mode: `0${mode.toString(8)}` }),
      },
      ...(kind === "skipped" ? { when: false } : {}),
    };
  });
  const file = join(folder, "site.yml");
  writeFileSync(file, stringify([{ hosts: "all", vars: workload.vars, tasks }], { version: "1.1" }));
  return file;
}

/** Puts what Ansible needs on hosts, which Volley does not. */
export async function installPython(hosts: readonly FleetHost[]): Promise<void> {
  for (const host of hosts) {
    const { code, stderr } = await host.exec(["apt-get", "install", "-y", "-qq", "python3", "python3-apt"]);
    if (code !== 0) throw new Error(`python3 could not be installed on ${host.name}: ${stderr}`);
  }
}
