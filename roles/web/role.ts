import * as v from "valibot";
import { apt, command, copy, defineRole, file, service, template } from "volley";

/** nginx with one site. */
export default defineRole({
  name: "web",
  vars: v.object({
    domain: v.string(),
    workers: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 2),
    port: v.optional(v.number(), 80),
    gzip: v.optional(v.boolean(), true),
  }),
  handlers: {
    reload: service({ name: "nginx", state: "reloaded" }),
  },
  tasks({ task, vars, facts }) {
    task("Install nginx", apt({ name: "nginx" }), { tags: "packages" });
    task(
      "Make the site's directory",
      file({ path: `/srv/www/${vars.domain}`, state: "directory", mode: 0o755 }),
    );
    task(
      "Publish the front page",
      template({ src: "index.html.j2", dest: `/srv/www/${vars.domain}/index.html`, mode: 0o644 }),
    );
    task(
      "Publish the style sheet",
      copy({ src: "style.css", dest: `/srv/www/${vars.domain}/style.css`, mode: 0o644 }),
    );
    const site = task(
      "Configure the site",
      template({ src: "site.conf.j2", dest: `/etc/nginx/conf.d/${vars.domain}.conf`, mode: 0o644 }),
      {
        notify: "reload",
      },
    );
    task(
      "Remove Debian's default site",
      file({ path: "/etc/nginx/sites-enabled/default", state: "absent" }),
      {
        notify: "reload",
        when: () => facts.os_family === "Debian",
      },
    );
    task("Check the configuration", command(["nginx", "-t"]), {
      when: () => site.changed,
      changedWhen: false,
    });
    task("Start nginx, now and at boot", service({ name: "nginx", state: "started", enabled: true }));
  },
});
