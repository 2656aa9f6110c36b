import * as v from "valibot";
import { blockinfile, command, copy, debug, defineRole, file, stat, template } from "volley";

/** A web server's files, with a handler that stands for reloading it. */
export default defineRole({
  name: "web",
  vars: v.object({
    workers: v.optional(v.number(), 2),
    sites: v.optional(v.array(v.string()), ["www", "blog", "shop", "docs"]),
    maintenance: v.optional(v.boolean(), false),
  }),
  handlers: ({ facts }) => ({
    reload: command({ argv: ["sh", "-c", `date >> ${facts.env.HOME}/var/log/reloads && echo reloaded`] }),
  }),
  tasks({ task, vars, facts, host }) {
    const root = `${facts.env.HOME}/srv`;
    for (const directory of ["", "/sites", "/conf.d", "/public"]) {
      task(`Make srv${directory}`, file({ path: `${root}${directory}`, state: "directory", mode: 0o755 }));
    }
    task(
      "Configure the server",
      template({ src: "server.conf.j2", dest: `${root}/server.conf`, mode: 0o644 }),
      { notify: "reload" },
    );
    task(
      "Configure each site",
      (site: string) => template({ src: "site.conf.j2", dest: `${root}/conf.d/${site}.conf`, mode: 0o644 }),
      { loop: vars.sites, notify: "reload" },
    );
    task(
      "Publish the front page",
      template({ src: "index.html.j2", dest: `${root}/public/index.html`, mode: 0o644 }),
    );
    task(
      "Publish the style sheet",
      copy({ src: "style.css", dest: `${root}/public/style.css`, mode: 0o644 }),
    );
    task(
      "Allow the health check",
      blockinfile({ path: `${root}/allow.conf`, block: "allow 127.0.0.1;\ndeny all;", create: true }),
      {
        notify: "reload",
      },
    );
    task("Announce maintenance", copy({ content: "back soon\n", dest: `${root}/public/maintenance.html` }), {
      when: vars.maintenance,
    });
    const page = task("Look at the front page", stat({ path: `${root}/public/index.html` }));
    task(
      "Say how large it is",
      () => debug({ msg: `${host.name} serves ${page.data.stat.size ?? 0} bytes` }),
      {
        when: () => page.data.stat.exists,
      },
    );
  },
});
