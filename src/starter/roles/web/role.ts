import * as v from "valibot";
import { apt, command, defineRole, service, template } from "volley";

export default defineRole({
  name: "web",
  vars: v.object({ domain: v.string(), workers: v.optional(v.number(), 2) }),
  handlers: {
    reload: service({ name: "nginx", state: "reloaded" }),
  },
  tasks({ task, vars, facts }) {
    task("Install nginx", apt({ name: "nginx" }), { tags: "packages" });
    const site = task(
      "Configure the site",
      template({ src: "site.conf.j2", dest: `/etc/nginx/conf.d/${vars.domain}.conf`, mode: 0o644 }),
      { notify: "reload", when: () => facts.os_family === "Debian" },
    );
    task("Check the configuration", command(["nginx", "-t"]), {
      when: () => site.changed,
      changedWhen: false,
    });
  },
});
