import { readFileSync, statSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, follow, hostOf, keptBundles, ofType, provision, start } from "./lib/drive.ts";
import { scratchDirectory, TWO_FILES, waitFor } from "./lib/project.ts";
import { SUDO, sudoHosts } from "./lib/sudo.ts";

const hostWith = sudoHosts(scratchDirectory(), fleetStarter());

/** Skips the options and the user in front of the command, and executes the command. */
const TO_COMMAND = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"';

test("become root: started through sudo, without a question", async () => {
  const { project, fleet, options } = await hostWith(`echo "$*" >"$ASKED"; ${TO_COMMAND}`);
  const { summary } = await provision(project, fleet, options);
  expect(summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  expect(readFileSync(project.path("asked"), "utf8")).toMatch(/^-n -H -- sh -c /);
  expect(keptBundles(fleet.hosts[0]!).temporary).toEqual([]);
});

test("logged in as the user to become: sudo is not needed", async () => {
  const { project, fleet, options } = await hostWith('echo "$*" >"$ASKED"; exit 1');
  const { summary } = await provision(project, fleet, { ...options, become: "ops" });
  expect(summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
});

test("become another user: it gets a copy of its own, in its own home, and only it can read it", async () => {
  const { project, fleet, options } = await hostWith(SUDO);
  const first = await provision(project, fleet, { ...options, become: "deploy" });
  expect(first.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  expect(hostOf(first, "web01").uploadedBytes).toBeGreaterThan(10_000);
  expect(ofType(first.events, "host:upload").at(-1)).toMatchObject({
    bytes: hostOf(first, "web01").uploadedBytes,
  });
  const home = join(fleet.hosts[0]!.home, "of-deploy");
  expect(readFileSync(join(home, "a"), "utf8")).toBe("a\n");
  const kept = keptBundles({ home });
  expect(kept).toMatchObject({ bundles: [expect.any(String)], temporary: [] });
  const directory = join(home, ".cache/volley/bundles");
  expect(statSync(join(directory, kept.bundles[0]!)).mode & 0o777).toBe(0o600);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(keptBundles(fleet.hosts[0]!).bundles).toEqual([]);
  const second = await provision(project, fleet, { ...options, become: "deploy" });
  expect(second.summary.tally).toMatchObject({ unchanged: 2, changed: 0 });
  expect(hostOf(second, "web01").uploadedBytes).toBe(0);
});

test.each([true, "deploy"])("become %s with a password: given once, told nowhere", async (become) => {
  const commands: string[] = [];
  const { project, fleet, options, asked } = await hostWith(SUDO, TWO_FILES, {
    onExec: ({ command }) => commands.push(command),
  });
  const ran = await provision(project, fleet, { ...options, become, becomePassword: "open sesame" });
  expect(ran.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  expect(asked()).toEqual(["open sesame"]);
  expect(commands.length).toBeGreaterThan(0);
  expect(JSON.stringify([ran.events, commands])).not.toContain("open sesame");
});

test("the inventory's password is over the caller's, and does not reach the host as a var", async () => {
  const { project, fleet, options, asked } = await hostWith(
    SUDO,
    `{ hosts: "all", tasks: ({ task, host }) => { task("Vars", debug({ msg: Object.keys(host.vars).join(" ") })); } }`,
  );
  const inventory = project.write(
    "with-password.yaml",
    readFileSync(options.inventory as string, "utf8").replace(
      "  hosts:",
      "  vars: { ansible_become_pass: open sesame, other: var }\n  hosts:",
    ),
  );
  const ran = await provision(project, fleet, { ...options, inventory, becomePassword: "another" });
  expect(ran.summary.exitCode).toBe(0);
  expect(asked()).toEqual(["open sesame"]);
  const [end] = ofType(ran.events, "task:end");
  expect(JSON.stringify(end?.result)).toContain("other");
  expect(JSON.stringify(end?.result)).not.toContain("ansible_become_pass");
});

test.each([true, "deploy"])("become %s with a wrong password: not tried again", async (become) => {
  const { project, fleet, options, asked } = await hostWith(SUDO);
  const ran = await provision(project, fleet, { ...options, become, becomePassword: "open barley" });
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "failed",
    error: {
      code: "BECOME_FAILED",
      message: `web01: ops cannot become ${become === true ? "root" : become}: sudo does not take the password`,
      hint: expect.stringContaining("ops's password"),
    },
  });
  expect(asked()).toEqual(["open barley"]);
  expect(JSON.stringify(ran.events)).not.toContain("open barley");
  expect(ran.summary.exitCode).toBe(1);
});

test.each([true, "deploy"])(
  "become %s: a host that is lost is come back to with the password",
  async (become) => {
    const { project, fleet, options, asked } = await hostWith(
      SUDO,
      `{ hosts: "all", tasks: ({ task, facts }) => { task("Wait", ${waitFor("go")}); task("After", debug({ msg: "after" })); } }`,
    );
    const running = start(project, fleet, { ...options, become, becomePassword: "open sesame" });
    const home = become === true ? "" : "of-deploy/";
    let dropped = false;
    const ran = await follow(running, (event) => {
      if (event.type === "task:output" && !dropped) {
        dropped = true;
        fleet.hosts[0]!.dropConnections();
      }
      if (event.type === "host:back") writeFileSync(join(fleet.hosts[0]!.home, `${home}go`), "");
    });
    expect(hostOf(ran, "web01").error).toBeUndefined();
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 1 } });
    expect(ofType(ran.events, "task:end").map(({ name }) => name)).toEqual(["Wait", "After"]);
    expect(asked()).toEqual(["open sesame", "open sesame"]);
  },
);

test("a cancel while the password is being checked ends at once", async () => {
  let cancel = (): void => {};
  const { project, fleet, options } = await hostWith("exec sleep 600", TWO_FILES, { onExec: () => cancel() });
  const running = start(project, fleet, { ...options, becomePassword: "open sesame" });
  cancel = () => running.cancel();
  const ran = await follow(running);
  expect(hostOf(ran, "web01").outcome).toBe("cancelled");
  expect(ran.summary.exitCode).toBe(130);
});

test.each([
  ["wants a password", "sudo: a password is required", "-K asks for it"],
  ["does not know the user", "ops is not in the sudoers file.", "ops ALL=(root) NOPASSWD: ALL"],
  ["insists on a terminal", "sudo: sorry, you must have a tty to run sudo", "!requiretty"],
])("sudo %s: said, with what to do", async (_what, said, hint) => {
  const { project, fleet, options } = await hostWith(`echo "${said}" >&2; exit 1`);
  const ran = await provision(project, fleet, options);
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "failed",
    error: {
      code: "BECOME_FAILED",
      message: `web01: ops cannot become root: ${said}`,
      hint: expect.stringContaining(hint),
    },
  });
  expect(ran.summary.exitCode).toBe(1);
});

test("no such program there: said", async () => {
  const { project, fleet, options } = await hostWith(TO_COMMAND);
  const inventory = project.write(
    "with-exe.yaml",
    readFileSync(options.inventory as string, "utf8").replace(
      "  hosts:",
      "  vars: { ansible_become_exe: /opt/none/sudo }\n  hosts:",
    ),
  );
  const ran = await provision(project, fleet, { ...options, inventory });
  expect(hostOf(ran, "web01").error).toMatchObject({
    code: "BECOME_FAILED",
    message: "web01: ops cannot become root: there is no /opt/none/sudo there",
  });
});

test("a way to become that there is not: refused before any host is touched", async () => {
  const { project, fleet, options } = await hostWith(TO_COMMAND);
  const inventory = project.write(
    "with-method.yaml",
    readFileSync(options.inventory as string, "utf8").replace(
      "  hosts:",
      "  vars: { ansible_become_method: runas }\n  hosts:",
    ),
  );
  await expect(provision(project, fleet, { ...options, inventory })).rejects.toMatchObject({
    code: "INVENTORY_INVALID",
    message: expect.stringContaining('must be sudo, doas or su, not "runas"'),
  });
  expect(fleet.hosts[0]!.stats.connections).toBe(0);
});

// Root alone can be anybody, without asking.
test.skipIf(userInfo().uid !== 0)("plays, roles and tasks of other users, as root", async () => {
  const { project, fleet, options } = await hostWith(
    SUDO,
    `{ name: "Of root", hosts: "all", tasks: ({ task }) => {
      task("Root", command({ argv: ["id", "-un"] }));
      task("Nobody", command({ argv: ["id", "-un"] }), { become: "nobody" });
      task("Forbidden", copy({ content: "x", dest: "/etc/volley-test" }), { become: "nobody", ignoreErrors: true });
      task("Nobody there", command({ argv: ["id"] }), { become: "nobody-there", ignoreErrors: true });
      task("Skipped", command({ argv: ["id"] }), { become: "nobody-there", when: false });
    } },
    { name: "Of daemon", hosts: "all", become: "daemon", tasks: ({ task, facts, system }) => {
      task("Daemon", () => command({ argv: ["sh", "-c", "id -un; id -un >&2; exit 3"] }), { failedWhen: false });
      task("Facts", debug({ msg: facts.user_id + " " + facts.env.USER + " " + system.uid }));
    } }`,
  );
  const ran = await provision(project, fleet, options);
  const results = Object.fromEntries(
    ofType(ran.events, "task:end").map(({ name, result }) => [name, result]),
  );
  expect(results).toMatchObject({
    Root: { data: { stdout: "root" } },
    Nobody: { data: { stdout: "nobody" } },
    Forbidden: { state: "failed", error: { code: "FILE_FAILED" } },
    "Nobody there": {
      state: "failed",
      error: { code: "BECOME_FAILED", message: "cannot become nobody-there: there is no such user" },
    },
    Skipped: { state: "skipped" },
    Daemon: { data: { stdout: "daemon", stderr: "daemon", rc: 3 } },
  });
  expect(JSON.stringify(results.Facts)).toContain("daemon daemon 1");
  expect(ran.summary.exitCode).toBe(0);
});
