/** Code that must type-check. This file is never run. */
import * as v from "valibot";
import {
  command,
  copy,
  debug,
  definePlay,
  definePlaybook,
  defineRole,
  file,
  noop,
  type ReadSystem,
  TaskFailed,
  type TaskHandle,
  template,
} from "volley";

/** Says that a value is of this type and no other. */
function exactly<T>(): <U>(value: U) => [U, T] extends [T, U] ? void : never {
  return () => undefined as never;
}

const nginx = defineRole({
  name: "nginx",
  doc: "A web server.",
  vars: v.object({ port: v.optional(v.number(), 80), sites: v.array(v.string()) }),
  facts: async (system: ReadSystem) => ({ installed: (await system.which("nginx")) !== null }),
  handlers: { reload: command("nginx -s reload"), restart: [command("nginx -t"), command("nginx")] },
  async tasks({ task, vars, facts, host, groups, hostVars, check, system, flushHandlers, log }) {
    exactly<number>()(vars.port);
    exactly<string[]>()(vars.sites);
    exactly<boolean>()(facts.installed);
    exactly<boolean>()(check);
    exactly<string>()(host.name);
    log(`${groups.web?.length} ${hostVars.db1?.ip} ${facts.distribution}`);

    const written = task("Write", template({ src: "nginx.conf.j2", dest: "/etc/nginx/nginx.conf" }), {
      notify: "reload",
    });
    exactly<boolean>()(written.changed);
    task("Notify two", noop({ changed: true }), { notify: ["reload", "restart"] });
    task("Notify another role", noop({}), { notify: "php:reload" });
    flushHandlers();

    const asked: TaskHandle<{ readonly rc: number }> = task("Ask", command(["id", "-u"]), {
      when: () => written.changed,
      changedWhen: ({ data }) => data.stdout !== "0",
      failedWhen: ({ data, failed }) => failed && data.rc > 1,
      check: false,
      ignoreErrors: true,
      noLog: true,
      tags: ["ask"],
      vars: { x: 1 },
    });
    const { data } = await asked;
    exactly<number>()(data.rc);

    const each = task("Each", (site) => copy({ content: site, dest: `/srv/${site}` }), {
      loop: vars.sites,
      when: (site) => site.startsWith("www"),
      label: (site) => site.toUpperCase(),
      notify: "reload",
    });
    exactly<number>()(each.data.length);
    task("Each of a set", ({ name }) => file({ path: `/srv/${name}`, state: "directory" }), {
      loop: new Set([{ name: "a" }]),
    });
    task("Each with a rule", (port) => command(`probe ${port}`), {
      loop: [80, 443],
      when: (port) => port > 80,
      failedWhen: ({ data }) => data.rc > 1,
    });
    task("Late", () => debug(`${asked.data.rc}`), { notify: "reload" });
    const probed = await task("Late with a rule", () => command("probe"), {
      changedWhen: ({ data }) => data.stdout !== "",
    });
    exactly<number>()(probed.data.rc);
    if ((await system.stat("/etc/nginx")) === null)
      task("Make", file({ path: "/etc/nginx", state: "directory" }));
  },
});

const late = defineRole({
  name: "late",
  vars: v.object({ command: v.string() }),
  handlers: ({ vars, facts }) => ({ run: command(`${vars.command} ${facts.env.HOME}`) }),
  tasks: ({ task }) => {
    task("t", noop({}), { notify: "run" });
  },
});

const rescuing = defineRole({
  name: "rescuing",
  tasks: async ({ task, handler, log }) => {
    handler("restart", command(["true"]), { when: () => true, changedWhen: ({ data }) => data.rc === 0 });
    handler("each", (name: string) => debug(name), { loop: ["a"], label: (name) => name.toUpperCase() });
    try {
      await task("t", noop({}), { notify: "restart" });
    } catch (error) {
      if (!(error instanceof TaskFailed)) throw error;
      log(`${error.task}: ${error.result.error?.message} ${error.code}`);
    }
  },
});

const untyped = defineRole({
  name: "untyped",
  tasks: ({ task, vars }) => void task("t", debug(String(vars.anything))),
});

export default definePlaybook([
  definePlay({
    name: "Web",
    hosts: "web:!db",
    become: true,
    roles: [nginx({ sites: ["www"] }), late({ command: "x" })],
  }),
  {
    hosts: "all",
    vars: { a: 1 },
    hostVars: ["ip"],
    become: "postgres",
    strategy: "free",
    tags: "base",
    roles: [
      nginx({}, { tags: ["web"], when: ({ host }) => host.groups.includes("web") }),
      nginx(),
      rescuing(),
      untyped({ anything: 1 }),
    ],
    handlers: { done: noop({}) },
    tasks: ({ task }) => void task("t", noop({}), { notify: "done" }),
  },
]);
