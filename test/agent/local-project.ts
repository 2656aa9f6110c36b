// The project that the tests of carried bundles bundle.

export const SITE = `
import { definePlaybook } from "volley";
import site from "./roles/site/role.ts";
import slow from "./roles/slow.ts";

export default definePlaybook([
  { name: "Everyone", hosts: "all", roles: [site()] },
  { name: "Slow", hosts: "slow1", roles: [slow()] },
]);
`;

export const ROLE = `
import { command, copy, debug, defineRole, fail, noop, template } from "volley";

export default defineRole({
  name: "site",
  handlers: { reload: noop({}) },
  tasks({ task, vars }) {
    const at = (name) => vars.directory + "/" + name;
    task("Install the page", copy({ src: "page.html", dest: at("page.html") }), { notify: "reload" });
    task("Write the config", template({ src: "config.j2", dest: at("config") }));
    task("Never here", noop({}), { when: false });
    task("Say", command(["echo", "hello", "there"]), { changedWhen: false, tags: "say" });
    task("Show", debug("shown " + vars.word));
    task("Forgive", fail("not so bad"), { when: vars.mood === "forgiving", ignoreErrors: true });
    task("Fail", fail("on purpose"), { when: vars.mood === "failing" });
    task("After", noop({}));
  },
});
`;

export const SLOW = `
import { defineRole, noop, shell } from "volley";

export default defineRole({
  name: "slow",
  tasks({ task, vars }) {
    task("Wait", shell("echo waiting; sleep " + vars.seconds));
    task("Never", noop({}));
  },
});
`;

export const inventory = (directory: string): string => `
all:
  vars:
    directory: ${directory}
    word: common
  hosts:
    web1: {}
    web2: { word: own, mood: failing }
    web3: { mood: forgiving }
    slow1: { seconds: 0.3 }
    slow2: {}
`;
