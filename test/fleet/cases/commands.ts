import { command, git, shell, unarchive } from "volley";
import type { ActionCase } from "./case.ts";

const clean = "rm -rf /srv/volley-*";

const owners = (path: string, expected: string): string =>
  `test "$(stat -c '%U:%G %a' ${path})" = "${expected}"`;

const ARCHIVE =
  "mkdir -p /srv/volley-src/app/bin /srv/volley-dest && echo run > /srv/volley-src/app/bin/run && chmod 4755 /srv/volley-src/app/bin/run && chown -R daemon:adm /srv/volley-src/app && chmod 4755 /srv/volley-src/app/bin/run && tar -C /srv/volley-src -czf /srv/volley-src/app.tar.gz app";

const REPOSITORY =
  "git init -q -b main /srv/volley-origin && git -C /srv/volley-origin -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m one";

const described: readonly ActionCase[] = [
  {
    name: "command runs until what it creates is there",
    call: command({ cmd: "touch 'volley-made here'", chdir: "/srv", creates: "volley-made*" }),
    verify: "test -e '/srv/volley-made here'",
  },
  {
    name: "command without creates is a change every time, and unknown in check mode",
    call: command(["touch", "/srv/volley-touched"]),
    verify: "test -e /srv/volley-touched",
    check: "unknown",
    again: "changed",
  },
  {
    name: "shell runs until what it removes is gone",
    prepare: "touch /srv/volley-old",
    call: shell({ cmd: "rm volley-old && echo $USER > volley-user", chdir: "/srv", removes: "volley-old" }),
    verify: "test ! -e /srv/volley-old && test -e /srv/volley-user",
  },
  {
    name: "unarchive as root keeps owner, group and setuid of the archive",
    prepare: ARCHIVE,
    call: unarchive({ src: "/srv/volley-src/app.tar.gz", dest: "/srv/volley-dest", remote_src: true }),
    verify: owners("/srv/volley-dest/app/bin/run", "daemon:adm 4755"),
  },
  {
    name: "unarchive gives everything its owner and mode",
    prepare: ARCHIVE,
    call: unarchive({
      ...{ src: "/srv/volley-src/app.tar.gz", dest: "/srv/volley-dest", remote_src: true },
      ...{ owner: "www-data", group: "root", mode: "u=rwX,g=rX,o=" },
    }),
    verify: `${owners("/srv/volley-dest/app/bin/run", "www-data:root 750")} && ${owners("/srv/volley-dest/app", "www-data:root 750")}`,
  },
  {
    name: "unarchive puts back an owner that was changed",
    prepare: `${ARCHIVE} && tar -C /srv/volley-dest -xpf /srv/volley-src/app.tar.gz && chown root /srv/volley-dest/app/bin/run`,
    call: unarchive({ src: "/srv/volley-src/app.tar.gz", dest: "/srv/volley-dest", remote_src: true }),
    verify: owners("/srv/volley-dest/app/bin/run", "daemon:adm 4755"),
  },
];

const gitCases: readonly ActionCase[] = [
  {
    name: "git clones into directories it makes",
    prepare: `${clean}; ${REPOSITORY}`,
    call: git({ repo: "/srv/volley-origin", dest: "/srv/volley-a/b", version: "main" }),
    verify: 'test "$(git -C /srv/volley-a/b rev-parse HEAD)" = "$(git -C /srv/volley-origin rev-parse HEAD)"',
  },
];

/** Cases of `command`, `shell`, `unarchive` and `git` as root. */
export const cases: readonly ActionCase[] = [...described, ...gitCases].map((entry) => ({
  ...entry,
  prepare: entry.prepare === undefined ? clean : `${clean}; ${entry.prepare}`,
}));
