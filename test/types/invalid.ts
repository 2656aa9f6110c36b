/** Code that must not type-check, each line for its own reason. This file is never run. */
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
  service,
  template,
} from "volley";

const role = defineRole({
  name: "web",
  vars: v.object({ port: v.optional(v.number(), 80) }),
  facts: async () => ({ installed: true }),
  handlers: { reload: noop({}) },
  async tasks({ task, vars, facts, system }) {
    // @ts-expect-error a var the schema does not have
    debug(String(vars.prot));
    // @ts-expect-error a var of another type
    debug(vars.port);
    // @ts-expect-error vars cannot be changed by assigning facts that are not there
    debug(String(facts.instaled));
    // @ts-expect-error a task needs a name
    task(noop({}));
    // @ts-expect-error a task needs an action
    task("t");
    // @ts-expect-error parameters are no action
    task("t", { path: "/x" });
    // @ts-expect-error an action that was not called
    task("t", noop);
    // @ts-expect-error an option there is not
    task("t", noop({}), { wehn: true });
    // @ts-expect-error a condition is a boolean or a function
    task("t", noop({}), { when: "yes" });
    // @ts-expect-error a loop needs a function that makes the action of an item
    task("t", noop({}), { loop: [1, 2] });
    // @ts-expect-error an item of the loop is a number
    task("t", (item: string) => debug(item), { loop: [1, 2] });
    // @ts-expect-error a label without a loop
    task("t", noop({}), { label: () => "x" });
    const ran = task("t", command("true"));
    // @ts-expect-error a handle has no such property: it is in its data
    debug(ran.stdout);
    // @ts-expect-error a command's data has no such field
    debug(ran.data.stdot);
    const result = await ran;
    // @ts-expect-error a result cannot be changed
    result.changed = true;
    // @ts-expect-error a role's code reads the system, it does not write
    await system.writeFile("/x", "y");
    // @ts-expect-error nor does it run what may change something
    await system.run(["true"]);
  },
});

// @ts-expect-error a file needs a path
file({ state: "directory" });
// @ts-expect-error a state there is not
file({ path: "/x", state: "dir" });
// @ts-expect-error a parameter there is not
copy({ dest: "/x", contents: "y" });
// @ts-expect-error a mode is text or a number
copy({ dest: "/x", content: "y", mode: true });
// @ts-expect-error a template needs a destination
template({ src: "x.j2" });
// @ts-expect-error a state a service cannot be in
service({ name: "nginx", state: "running" });

// @ts-expect-error a var of another type
role({ port: "80" });
// @ts-expect-error a var there is not
role({ prot: 80 });
// @ts-expect-error an option of a role's use there is not
role({}, { wehn: true });
// @ts-expect-error a role needs tasks
defineRole({ name: "empty" });
// @ts-expect-error a handler is an action or several
defineRole({ name: "odd", handlers: { reload: "nginx" }, tasks: () => {} });
defineRole({
  name: "odd",
  tasks: ({ handler }) => {
    // @ts-expect-error a handler runs on each host that notifies it
    handler("reload", copy({ dest: "/x", content: "y" }), { runOnce: true });
  },
});
// @ts-expect-error vars are a Standard Schema
defineRole({ name: "odd", vars: { port: "number" }, tasks: () => {} });

// @ts-expect-error a play is for hosts
definePlay({ roles: [role()] });
// @ts-expect-error a role must be called
definePlay({ hosts: "all", roles: [role] });
// @ts-expect-error a strategy there is not
definePlay({ hosts: "all", roles: [role()], strategy: "fast" });
// @ts-expect-error a key there is not
definePlay({ hosts: "all", rolse: [] });
// @ts-expect-error plays come in a list
definePlaybook({ hosts: "all" });
