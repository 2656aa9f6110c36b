import {
  apt,
  apt_repository,
  authorized_key,
  cron,
  debconf,
  dpkg_selections,
  group,
  hostname,
  package as packageAction,
  service,
  sysctl,
  systemd,
  user,
} from "volley";
import type { ActionCase } from "./case.ts";

const LISTS = "apt-get update >/dev/null";
const absent = (name: string): string => `apt-get -y purge ${name} >/dev/null 2>&1 || true`;
const installed = (name: string): string =>
  `dpkg-query -W -f '\${db:Status-Status}' ${name} 2>/dev/null | grep -qx installed`;

const HASH = "$6$abcdefgh$0123456789abcdefghijklmnopqrstuvwxyz";
const unitFile = (name: string, content: string): string =>
  `printf '%s\\n' ${content
    .split("\n")
    .map((line) => `'${line}'`)
    .join(" ")} > /etc/systemd/system/${name}`;
const NAP = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target";
const NAP_GONE =
  "systemctl disable --now nap 2>/dev/null; rm -f /etc/systemd/system/nap.service; systemctl daemon-reload";
const noUser = (name: string): string =>
  `userdel -rf ${name} 2>/dev/null; groupdel ${name} 2>/dev/null; true`;

const packages: readonly ActionCase[] = [
  {
    name: "apt installs a package",
    prepare: `${LISTS}; ${absent("hello")}`,
    call: apt({ name: "hello" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs several and leaves what is there",
    prepare: absent("hello sl"),
    call: apt({ pkg: ["hello", "sl", "cron"], install_recommends: false }),
    verify: `${installed("hello")} && ${installed("sl")}`,
  },
  {
    name: "apt installs a version given by glob",
    prepare: absent("hello"),
    call: apt({ name: "hello=2.*" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs a least version",
    prepare: absent("hello"),
    call: apt({ name: "hello>=2.0" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs the latest, which is then unchanged",
    prepare: absent("hello"),
    call: apt({ name: "hello", state: "latest" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs by glob",
    prepare: absent("hello"),
    call: apt({ name: "hell[o]" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs a package whose name would do as a regular expression",
    prepare: absent("lua5.1"),
    call: apt({ name: "lua5.1" }),
    verify: installed("lua5.1"),
  },
  {
    name: "apt removes a package",
    prepare: "apt-get -y install sl >/dev/null",
    call: apt({ name: "sl", state: "absent" }),
    verify: `! ${installed("sl")}`,
  },
  {
    name: "apt purges what is removed but has configuration left",
    prepare: "apt-get -y install logrotate >/dev/null; apt-get -y remove logrotate >/dev/null",
    call: apt({ name: "logrotate", state: "absent", purge: true }),
    verify: `! dpkg-query -W -f '\${db:Status-Status}' logrotate 2>/dev/null | grep -qx config-files`,
  },
  {
    name: "apt fetches the lists before it installs",
    prepare: absent("hello"),
    call: apt({ name: "hello", update_cache: true }),
    verify: installed("hello"),
  },
  {
    name: "apt installs from empty lists once they are fetched",
    prepare: `${absent("hello")}; rm -rf /var/lib/apt/lists/*`,
    call: apt({ name: "hello", cache_valid_time: 3600 }),
    verify: installed("hello"),
    check: "unknown",
  },
  {
    name: "apt fetches the lists alone",
    prepare: "rm -rf /var/lib/apt/lists/*",
    call: apt({ update_cache: true, cache_valid_time: 3600 }),
    verify: "ls /var/lib/apt/lists/*_InRelease",
  },
  {
    name: "apt removes what nothing needs any more",
    prepare: "apt-get -y install sl >/dev/null; apt-mark auto sl >/dev/null",
    call: apt({ autoremove: true }),
    verify: `! ${installed("sl")}`,
  },
  {
    name: "apt removes downloaded packages",
    prepare: "cd /var/cache/apt/archives && apt-get download hello >/dev/null 2>&1",
    call: apt({ clean: true }),
    verify: "! ls /var/cache/apt/archives/*.deb 2>/dev/null",
  },
  {
    name: "apt installs a package file",
    prepare: `${absent("hello")}; mkdir -p /root/debs && cd /root/debs && rm -f *.deb && apt-get download hello >/dev/null 2>&1 && mv hello*.deb hello.deb`,
    call: apt({ deb: "/root/debs/hello.deb" }),
    verify: installed("hello"),
  },
  {
    name: "apt installs a package file of a web server",
    prepare: absent("hello"),
    call: apt({ deb: `http://deb.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb` }),
    verify: installed("hello"),
  },
  {
    name: "apt keeps new services from starting",
    prepare: `${absent("cron")}; rm -f /usr/sbin/policy-rc.d`,
    call: apt({ name: "cron", policy_rc_d: 101, install_recommends: false }),
    verify: `${installed("cron")} && ! systemctl is-active cron && test ! -e /usr/sbin/policy-rc.d`,
  },
  {
    name: "package installs by apt",
    prepare: absent("hello"),
    call: packageAction({ name: "hello", state: "present" }),
    verify: installed("hello"),
  },
  {
    name: "apt_repository adds a source that apt can read",
    prepare: `rm -rf /srv/debs /etc/apt/sources.list.d/file_srv_debs.list; mkdir -p /srv/debs && : > /srv/debs/Packages`,
    call: apt_repository({ repo: "deb [trusted=yes] file:/srv/debs ./" }),
    verify:
      "grep -qF file:/srv/debs /etc/apt/sources.list.d/file_srv_debs.list && apt-get indextargets | grep -q srv/debs",
  },
  {
    name: "apt_repository removes a source and its list",
    call: apt_repository({ repo: "deb [trusted=yes] file:/srv/debs ./", state: "absent" }),
    verify: "! test -e /etc/apt/sources.list.d/file_srv_debs.list",
  },
  {
    name: "debconf answers a question",
    call: debconf({ name: "volley", question: "volley/q", vtype: "string", value: "a  b" }),
    verify: "debconf-show volley | grep -F 'volley/q: a  b'",
  },
  {
    name: "debconf answers with a password, and knows it again",
    call: debconf({ name: "volley", question: "volley/p", vtype: "password", value: "s3cret" }),
    verify: "grep -Fx 'Value: s3cret' /var/cache/debconf/passwords.dat",
  },
  {
    name: "dpkg_selections holds a package",
    call: dpkg_selections({ name: "bash", selection: "hold" }),
    verify: "dpkg --get-selections bash | grep -w hold",
  },
  {
    name: "dpkg_selections frees it",
    call: dpkg_selections({ name: "bash", selection: "install" }),
    verify: "dpkg --get-selections bash | grep -w install",
  },
];

const services: readonly ActionCase[] = [
  {
    name: "systemd starts and enables",
    prepare: "systemctl disable --now cron 2>/dev/null",
    call: systemd({ unit: "cron", state: "started", enabled: true }),
    verify: "systemctl is-active cron && systemctl is-enabled cron",
  },
  {
    name: "systemd stops and disables",
    call: systemd({ name: "cron.service", state: "stopped", enabled: false }),
    verify: "! systemctl is-active cron && ! systemctl is-enabled cron",
  },
  {
    name: "systemd masks",
    call: systemd({ name: "cron", masked: true }),
    verify: 'test "$(systemctl is-enabled cron)" = masked',
  },
  {
    name: "systemd unmasks, enables and starts at once",
    call: systemd({ name: "cron", masked: false, enabled: true, state: "started" }),
    verify: "systemctl is-active cron && systemctl is-enabled cron",
  },
  {
    name: "systemd restarts every time",
    prepare: "systemctl show -p InvocationID cron > /root/invocation",
    call: systemd({ name: "cron", state: "restarted" }),
    verify: "! systemctl show -p InvocationID cron | cmp -s - /root/invocation",
    again: "changed",
  },
  {
    name: "systemd reloads every time",
    call: systemd({ name: "ssh", state: "reloaded" }),
    verify: "systemctl is-active ssh",
    verifiedBefore: true,
    again: "changed",
  },
  {
    name: "systemd finds a unit written just now after daemon_reload",
    prepare: `${NAP_GONE}; systemctl start nap 2>/dev/null; ${unitFile("nap.service", NAP)}`,
    call: systemd({ name: "nap", state: "started", enabled: true, daemon_reload: true }),
    verify: "systemctl is-active nap && systemctl is-enabled nap",
  },
  {
    name: "systemd has the new unit file after daemon_reload and restart",
    prepare: unitFile("nap.service", NAP.replace("infinity", "12345")),
    call: systemd({ name: "nap", state: "restarted", daemon_reload: true }),
    verify: "systemctl show -p ExecStart nap | grep 12345",
    again: "changed",
  },
  {
    name: "systemd enables a template, whose instances are what runs",
    prepare: `${unitFile("nap@.service", `${NAP}\nDefaultInstance=one`)}; systemctl disable nap@ 2>/dev/null; systemctl daemon-reload`,
    call: systemd({ name: "nap@", enabled: true }),
    verify: "systemctl is-enabled nap@.service && systemctl is-enabled nap@one.service",
  },
  {
    name: "systemd is not misled by what a stopped unit leaves running",
    prepare: `${NAP_GONE}; ${unitFile("nap.service", `${NAP}\n[Service]\nKillMode=process`)}; systemctl daemon-reload; systemctl enable --now nap; systemctl stop nap`,
    call: systemd({ name: "nap", state: "started", enabled: true }),
    verify: "systemctl is-active nap",
  },
  {
    name: "service stops",
    prepare: "systemctl start cron",
    call: service({ name: "cron", state: "stopped" }),
    verify: "! systemctl is-active cron",
  },
  {
    name: "service starts through the init script",
    prepare: "systemctl stop cron; update-rc.d cron remove",
    call: service({ name: "cron", state: "started", enabled: true, use: "sysvinit" }),
    verify: "service cron status && ls /etc/rc2.d/S*cron",
  },
  {
    name: "service starts and enables",
    prepare: "systemctl disable --now cron 2>/dev/null",
    call: service({ name: "cron", state: "started", enabled: true }),
    verify: "systemctl is-active cron && systemctl is-enabled cron",
  },
  {
    name: "service restarts every time",
    call: service({ name: "cron", state: "restarted" }),
    verify: "systemctl is-active cron",
    verifiedBefore: true,
    again: "changed",
  },
];

const accounts: readonly ActionCase[] = [
  {
    name: "group makes a group",
    prepare: "groupdel crew 2>/dev/null; true",
    call: group({ name: "crew", gid: 4321 }),
    verify: "getent group crew | grep -q :4321:",
  },
  {
    name: "group changes its id",
    call: group({ name: "crew", gid: 4322 }),
    verify: "getent group crew | grep -q :4322:",
  },
  {
    name: "user makes an account with groups, a password and a home directory",
    prepare: `${noUser("alice")}; groupadd -f crew`,
    call: user({
      ...{
        name: "alice",
        uid: 4401,
        comment: "Alice, of course",
        shell: "/bin/bash",
        groups: ["crew", "sudo"],
      },
      ...{ home: "/srv/people/alice", password: HASH, expires: 2_000_000_000 },
    }),
    verify: `id -nG alice | grep -w crew && getent shadow alice | grep -F '${HASH}' && test -d /srv/people/alice && getent passwd alice | grep -F ':4401:' && getent shadow alice | grep ':23148:'`,
  },
  {
    name: "user leaves groups that are not named",
    call: user({ name: "alice", groups: "crew" }),
    verify: "! id -nG alice | grep -w sudo",
  },
  {
    name: "user adds groups",
    call: user({ name: "alice", groups: ["adm"], append: true, shell: "/bin/sh" }),
    verify: "id -nG alice | grep -w adm | grep -w crew && getent passwd alice | grep :/bin/sh",
  },
  {
    name: "user moves a home directory",
    prepare: "echo kept > /srv/people/alice/note",
    call: user({ name: "alice", home: "/home/alice", move_home: true }),
    verify: "grep kept /home/alice/note",
  },
  {
    name: "user changes a password and its ageing",
    call: user({
      name: "alice",
      password: `${HASH}0`,
      password_expire_max: 90,
      password_expire_min: 1,
      expires: -1,
    }),
    verify: `getent shadow alice | grep -F '${HASH}0' && getent shadow alice | grep -E ':1:90:[0-9]*:::$'`,
  },
  {
    name: "user locks a password",
    call: user({ name: "alice", password_lock: true }),
    verify: "getent shadow alice | grep -F ':!$6'",
  },
  {
    name: "user unlocks it",
    call: user({ name: "alice", password_lock: false }),
    verify: "getent shadow alice | grep -F ':$6'",
  },
  {
    name: "user takes the password away",
    call: user({ name: "alice", password: "*" }),
    verify: "getent shadow alice | grep -F 'alice:*:'",
  },
  {
    name: "user makes a key",
    call: user({
      name: "alice",
      generate_ssh_key: true,
      ssh_key_type: "ed25519",
      ssh_key_comment: "alice@host",
    }),
    verify:
      'grep alice@host /home/alice/.ssh/id_ed25519.pub && test "$(stat -c %U:%a /home/alice/.ssh/id_ed25519)" = alice:600 && test "$(stat -c %U:%a /home/alice/.ssh)" = alice:700',
  },
  {
    name: "user makes a key where the user has put links, and follows none of them",
    prepare:
      "rm -f /etc/volley-planted*; for f in k k.pub; do ln -sf /etc/volley-planted-$f /home/alice/.ssh/$f; chown -h alice: /home/alice/.ssh/$f; done",
    call: user({ name: "alice", generate_ssh_key: true, ssh_key_type: "ed25519", ssh_key_file: ".ssh/k" }),
    verify:
      'ls /etc | grep -q volley-planted && exit 1; test "$(stat -c %U:%a:%F /home/alice/.ssh/k)" = "alice:600:regular file" && test "$(stat -c %U:%a:%F /home/alice/.ssh/k.pub)" = "alice:644:regular file"',
  },
  {
    name: "user makes a home directory that went missing",
    prepare: "rm -rf /home/alice",
    call: user({ name: "alice" }),
    verify: 'test -f /home/alice/.profile && test "$(stat -c %U:%G /home/alice/.profile)" = alice:alice',
  },
  {
    name: "user removes an account with its home directory",
    call: user({ name: "alice", state: "absent", remove: true }),
    verify: "! getent passwd alice && ! test -e /home/alice",
  },
  {
    name: "user makes a system account",
    prepare: `${noUser("daemonic")}; groupadd -f crew`,
    call: user({
      name: "daemonic",
      system: true,
      create_home: false,
      shell: "/usr/sbin/nologin",
      group: "crew",
    }),
    verify: 'test $(id -u daemonic) -lt 1000 && test "$(id -gn daemonic)" = crew',
  },
  {
    name: "group removes a group",
    prepare: `${noUser("daemonic")}; ${noUser("alice")}; groupadd -f crew`,
    call: group({ name: "crew", state: "absent" }),
    verify: "! getent group crew",
  },
];

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZsZWV0LWNhc2Uta2V5LW51bWJlci1vbmUtMDAw one@example";
const OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZsZWV0LWNhc2Uta2V5LW51bWJlci10d28tMDAw two@example";

const settings: readonly ActionCase[] = [
  {
    name: "authorized_key makes the file and its directory the user's own",
    prepare: `${noUser("kim")}; useradd -m kim`,
    call: authorized_key({ user: "kim", key: KEY }),
    verify: `grep -F '${KEY}' /home/kim/.ssh/authorized_keys && test "$(stat -c %U:%G:%a /home/kim/.ssh)" = kim:kim:700 && test "$(stat -c %U:%G:%a /home/kim/.ssh/authorized_keys)" = kim:kim:600`,
  },
  {
    name: "authorized_key mends the mode of a file that others can write",
    prepare: "chmod 666 /home/kim/.ssh/authorized_keys",
    call: authorized_key({ user: "kim", key: KEY }),
    verify: 'test "$(stat -c %a /home/kim/.ssh/authorized_keys)" = 600',
  },
  {
    name: "authorized_key sets options",
    call: authorized_key({ user: "kim", key: KEY, key_options: 'no-pty,from="10.0.0.1"' }),
    verify: `grep -F 'no-pty,from="10.0.0.1" ${KEY}' /home/kim/.ssh/authorized_keys`,
  },
  {
    name: "authorized_key removes all others when exclusive",
    call: authorized_key({ user: "kim", key: OTHER_KEY, exclusive: true }),
    verify: `test "$(cat /home/kim/.ssh/authorized_keys)" = '${OTHER_KEY}'`,
  },
  {
    name: "authorized_key removes a key",
    call: authorized_key({ user: "kim", key: OTHER_KEY, state: "absent" }),
    verify: "! grep -q ssh- /home/kim/.ssh/authorized_keys",
  },
  {
    name: "cron sets a job in a user's crontab beside what is there",
    prepare: "printf '# caf\\351\\n0 1 * * * /bin/true\\n' | crontab -u kim -",
    call: cron({ name: "sweep", user: "kim", minute: "*/5", job: "/usr/bin/sweep --all" }),
    verify: `crontab -u kim -l | grep -A1 '^#Ansible: sweep$' | grep -Fx '*/5 * * * * /usr/bin/sweep --all' && crontab -u kim -l | grep -a /bin/true && test "$(crontab -u kim -l | grep -ac "$(printf 'caf\\351')")" = 1`,
  },
  {
    name: "cron sets a variable and keeps a copy",
    prepare: "rm -f /var/backups/crontab.kim.*",
    call: cron({ name: "MAILTO", user: "kim", env: true, job: "kim@example.org", backup: true }),
    verify: `crontab -u kim -l | head -1 | grep -Fx 'MAILTO="kim@example.org"' && grep sweep /var/backups/crontab.kim.*`,
  },
  {
    name: "cron disables a job",
    call: cron({ name: "sweep", user: "kim", special_time: "daily", job: "/usr/bin/sweep", disabled: true }),
    verify: "crontab -u kim -l | grep -Fx '#@daily /usr/bin/sweep'",
  },
  {
    name: "cron removes a job",
    call: cron({ name: "sweep", user: "kim", state: "absent" }),
    verify: "! crontab -u kim -l | grep sweep && crontab -u kim -l | grep /bin/true",
  },
  {
    name: "cron sets root's own crontab where there is none",
    prepare: "crontab -r 2>/dev/null; true",
    call: cron({ name: "first", hour: 3, minute: 0, job: "/bin/true" }),
    verify: "crontab -l | grep -Fx '0 3 * * * /bin/true'",
  },
  {
    name: "hostname sets the name now and for the next boot",
    prepare: "hostnamectl set-hostname before || { hostname before; echo before > /etc/hostname; }",
    call: hostname({ name: "renamed" }),
    verify:
      "test $(hostname) = renamed && test $(cat /etc/hostname) = renamed && { ! hostnamectl --static || grep -Fx PRETTY_HOSTNAME=renamed /etc/machine-info; }",
  },
  {
    name: "hostname sets the running name alone",
    prepare: "hostname other",
    call: hostname({ name: "renamed" }),
    verify: "test $(hostname) = renamed",
  },
  {
    name: "sysctl writes a file and loads it",
    prepare: "rm -f /etc/sysctl.d/90-case.conf; mount -o remount,rw /proc/sys",
    call: sysctl({
      name: "kernel.domainname",
      value: "fleet.example",
      sysctl_file: "/etc/sysctl.d/90-case.conf",
    }),
    verify:
      "grep -Fx kernel.domainname=fleet.example /etc/sysctl.d/90-case.conf && test $(cat /proc/sys/kernel/domainname) = fleet.example",
  },
  {
    name: "sysctl sets the running kernel when only that differs",
    prepare: "echo other > /proc/sys/kernel/domainname",
    call: sysctl({
      name: "kernel.domainname",
      value: "fleet.example",
      sysctl_set: true,
      sysctl_file: "/etc/sysctl.d/90-case.conf",
    }),
    verify: "test $(cat /proc/sys/kernel/domainname) = fleet.example",
  },
];

/** The system actions on a real host. */
export const cases: readonly ActionCase[] = [...packages, ...services, ...accounts, ...settings];
