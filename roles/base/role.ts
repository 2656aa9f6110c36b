import * as v from "valibot";
import { apt, authorized_key, copy, cron, defineRole, sysctl, template, user } from "volley";

const CONTAINERS = ["docker", "podman", "lxc", "systemd-nspawn", "container"];

/** What every host gets: packages, an administrator, kernel settings, a greeting and a nightly clean-up. */
export default defineRole({
  name: "base",
  vars: v.object({
    packages: v.optional(v.array(v.string()), ["curl", "ca-certificates", "cron"]),
    admin: v.string(),
    adminKey: v.optional(v.string()),
    sysctl: v.optional(v.record(v.string(), v.string()), {}),
  }),
  tasks({ task, vars, facts }) {
    task(
      "Install the basic packages",
      apt({ name: vars.packages, update_cache: true, cache_valid_time: 86_400 }),
      { tags: "packages" },
    );
    task(
      "Create the administrator",
      user({ name: vars.admin, shell: "/bin/bash", groups: ["adm"], append: true }),
    );
    if (vars.adminKey !== undefined) {
      task("Let the administrator in", authorized_key({ user: vars.admin, key: vars.adminKey }));
    }
    task(
      "Set the kernel's parameters",
      ([name, value]: readonly [string, string]) =>
        sysctl({ name, value, sysctl_file: "/etc/sysctl.d/60-volley.conf" }),
      {
        loop: Object.entries(vars.sysctl),
        label: ([name]) => name,
        // A container has its host's kernel, and may not set it.
        when: () => !CONTAINERS.includes(facts.virtualization_type),
      },
    );
    task("Greet whoever logs in", template({ src: "motd.j2", dest: "/etc/motd", mode: 0o644 }));
    task(
      "Install the clean-up script",
      copy({ src: "clean-up", dest: "/usr/local/sbin/clean-up", mode: 0o755 }),
    );
    task(
      "Clean up every night",
      cron({ name: "clean up", job: "/usr/local/sbin/clean-up /var/tmp 30", hour: "3", minute: "17" }),
    );
  },
});
