import { blockinfile, copy, file, lineinfile, replace } from "volley";
import type { ActionCase } from "./case.ts";

const clean = "rm -rf /etc/volley-* /etc/volley.d /srv/volley-*";

const attributes = (path: string, expected: string): string =>
  `test "$(stat -c '%U:%G %a' ${path})" = "${expected}"`;

const described: readonly ActionCase[] = [
  {
    name: "copy gives a new file its owner, group and mode",
    call: copy({ content: "hello\n", dest: "/etc/volley-copy", owner: "daemon", group: "adm", mode: "0640" }),
    verify: `${attributes("/etc/volley-copy", "daemon:adm 640")} && test "$(cat /etc/volley-copy)" = hello`,
  },
  {
    name: "copy changes only the owner, which takes setuid away",
    prepare:
      "printf 'same\\n' > /etc/volley-owner && chmod 4755 /etc/volley-owner && stat -c %i /etc/volley-owner > /run/volley-inode",
    call: copy({ content: "same\n", dest: "/etc/volley-owner", owner: "daemon" }),
    verify: `${attributes("/etc/volley-owner", "daemon:root 755")} && test "$(stat -c %i /etc/volley-owner)" = "$(cat /run/volley-inode)"`,
  },
  {
    name: "copy keeps owner and mode of a file it replaces",
    prepare:
      "printf 'old\\n' > /etc/volley-kept && chown daemon:adm /etc/volley-kept && chmod 2640 /etc/volley-kept",
    call: copy({ content: "new\n", dest: "/etc/volley-kept", backup: true }),
    verify: `${attributes("/etc/volley-kept", "daemon:adm 2640")} && grep -q new /etc/volley-kept && grep -q old /etc/volley-kept.*~`,
  },
  {
    name: "copy makes the directories of its dest with their owner",
    call: copy({
      ...{ src: "/etc/hostname", remote_src: true, dest: "/srv/volley-tree/a/" },
      ...{ owner: "daemon", group: "daemon", mode: "0600", directory_mode: "0710" },
    }),
    verify: `${attributes("/srv/volley-tree", "daemon:daemon 710")} && ${attributes("/srv/volley-tree/a/hostname", "daemon:daemon 600")}`,
  },
  {
    name: "copy writes what its command accepts",
    call: copy({
      content: "volley-test ALL=(ALL) ALL\n",
      dest: "/etc/volley-validated",
      mode: 0o440,
      validate: "grep -q ALL= %s",
    }),
    verify: attributes("/etc/volley-validated", "root:root 440"),
  },
  {
    name: "file makes a directory with all above it",
    call: file({
      path: "/srv/volley-a/b/c",
      state: "directory",
      owner: "daemon",
      group: "adm",
      mode: "2750",
    }),
    verify: ["/srv/volley-a", "/srv/volley-a/b/c"]
      .map((path) => attributes(path, "daemon:adm 2750"))
      .join(" && "),
  },
  {
    name: "file changes everything below a directory, links themselves with follow: false",
    prepare:
      "mkdir -p /srv/volley-r/d && touch /srv/volley-r/d/f /srv/volley-outside && ln -s /srv/volley-outside /srv/volley-r/l && chmod 600 /srv/volley-r/d/f",
    call: file({ path: "/srv/volley-r", recurse: true, owner: "daemon", mode: "u=rwX,go=rX", follow: false }),
    verify: [
      attributes("/srv/volley-r/d", "daemon:root 755"),
      attributes("/srv/volley-r/d/f", "daemon:root 644"),
      attributes("/srv/volley-r/l", "daemon:root 777"),
      attributes("/srv/volley-outside", "root:root 644"),
    ].join(" && "),
  },
  {
    name: "file changes the owner of a link itself",
    prepare: "touch /srv/volley-target && ln -s volley-target /srv/volley-link",
    call: file({
      path: "/srv/volley-link",
      state: "link",
      src: "volley-target",
      owner: "daemon",
      follow: false,
    }),
    verify: `${attributes("/srv/volley-link", "daemon:root 777")} && ${attributes("/srv/volley-target", "root:root 644")}`,
  },
  {
    name: "file makes a link, and changes the owner of what it leads to",
    prepare: "touch /srv/volley-target2",
    call: file({ path: "/srv/volley-link2", state: "link", src: "volley-target2", owner: "daemon" }),
    verify: `test "$(readlink /srv/volley-link2)" = volley-target2 && ${attributes("/srv/volley-target2", "daemon:root 644")}`,
  },
  {
    name: "file touches",
    call: file({ path: "/srv/volley-touched", state: "touch", owner: "daemon", mode: "0600" }),
    verify: attributes("/srv/volley-touched", "daemon:root 600"),
    again: "changed",
  },
  {
    name: "file removes a directory that others own",
    prepare:
      "mkdir -p /srv/volley-gone/a && touch /srv/volley-gone/a/f && chown -R daemon /srv/volley-gone && chmod 0 /srv/volley-gone/a",
    call: file({ path: "/srv/volley-gone", state: "absent" }),
    verify: "test ! -e /srv/volley-gone",
  },
  {
    name: "lineinfile keeps owner and mode",
    prepare:
      "printf '#Port 22\\nX 1\\n' > /etc/volley-line && chown daemon:adm /etc/volley-line && chmod 640 /etc/volley-line",
    call: lineinfile({ path: "/etc/volley-line", regexp: "^#?Port ", line: "Port 2222" }),
    verify: `${attributes("/etc/volley-line", "daemon:adm 640")} && grep -qx 'Port 2222' /etc/volley-line && grep -qx 'X 1' /etc/volley-line`,
  },
  {
    name: "blockinfile makes a file with its owner",
    call: blockinfile({
      path: "/etc/volley.d/block",
      block: "one\ntwo",
      create: true,
      owner: "daemon",
      mode: "0640",
    }),
    verify: `${attributes("/etc/volley.d/block", "daemon:root 640")} && grep -qx two /etc/volley.d/block`,
  },
  {
    name: "replace replaces",
    prepare: "printf 'a=1\\nb=1\\n' > /etc/volley-replace",
    call: replace({ path: "/etc/volley-replace", regexp: "^(\\w)=1$", replace: "\\1=2", group: "adm" }),
    verify: `grep -qx b=2 /etc/volley-replace && ${attributes("/etc/volley-replace", "root:adm 644")}`,
  },
];

/** The file actions as root, on a real host; each case starts without what another left. */
export const cases: readonly ActionCase[] = described.map((one) => ({
  ...one,
  prepare: one.prepare === undefined ? clean : `${clean} && ${one.prepare}`,
}));
