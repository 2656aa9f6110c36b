import { command, copy, defineRole, file, lineinfile, template } from "volley";

/** The files of every host of the demo, below the host's own home: no root needed. */
export default defineRole({
  name: "base",
  tasks({ task, facts }) {
    const home = facts.env.HOME;
    for (const directory of ["etc", "bin", "var", "var/log", "var/cache"]) {
      task(`Make ${directory}`, file({ path: `${home}/${directory}`, state: "directory", mode: 0o755 }));
    }
    task("Greet whoever logs in", template({ src: "motd.j2", dest: `${home}/etc/motd`, mode: 0o644 }));
    task(
      "Put the greeting into the profile",
      lineinfile({ path: `${home}/.profile`, line: "cat ~/etc/motd", create: true }),
    );
    task("Install the backup script", copy({ src: "backup.sh", dest: `${home}/bin/backup`, mode: 0o755 }));
    task(
      "Take a first backup",
      command({ argv: [`${home}/bin/backup`, `${home}/etc`], creates: `${home}/var/cache/etc.tar` }),
    );
  },
});
