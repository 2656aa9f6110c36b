import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import type { Event } from "../../src/core/events.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import { hostPassword } from "./lib/recipe.ts";
import { fleetAvailable } from "./lib/requirements.ts";
import { type FleetRun, runOn, writeInventory } from "./lib/volley.ts";

const fixture = (name: string): string =>
  fileURLToPath(new URL(`fixtures/become-users/${name}`, import.meta.url));
const rootPassword = "battery staple";

/** Return the output of a task's command. */
function printed(events: readonly Event[], name: string): string {
  const end = events.find((event) => event.type === "task:end" && event.name === name);
  const result = end?.type === "task:end" ? end.result : undefined;
  return result?.error?.message ?? (result?.data as { readonly stdout: string } | undefined)?.stdout ?? "";
}

describe.skipIf(!fleetAvailable())("becoming another user", () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await bootFleet({ count: 1 });
    const [host] = fleet.hosts;
    await host!.exec(["apt-get", "update"]);
    await host!.exec(["apt-get", "install", "-y", "opendoas"]);
    await host!.exec(["chpasswd"], { input: `root:${rootPassword}\nplain:${rootPassword}\n` });
    await host!.exec(["sh", "-c", "printf 'permit nopass deploy\\npermit pass\\n' >/etc/doas.conf"]);
  });
  afterAll(() => fleet?.stop());

  const who = (
    login: string,
    user: string,
    vars: Readonly<Record<string, unknown>>,
    options: Partial<RunOptions> = {},
  ): Promise<FleetRun> =>
    runOn(fleet, {
      inventory: writeInventory(fleet, {
        vars: { ansible_user: login, ansible_become: true, ansible_become_user: user, ...vars },
      }),
      playbook: fixture("only.ts"),
      ...options,
    });
  const home = (user: string): string =>
    join(fleet.hosts[0]!.root, user === "root" ? "root" : `home/${user}`);

  it.each([
    ["deploy", "root", "sudo", undefined],
    ["deploy", "plain", "sudo", undefined],
    ["pass", "root", "sudo", hostPassword],
    ["pass", "plain", "sudo", hostPassword],
    // A password that nobody asks for goes nowhere.
    ["deploy", "root", "sudo", "nobody's"],
    ["deploy", "plain", "sudo", "nobody's"],
    ["deploy", "root", "doas", undefined],
    ["deploy", "plain", "doas", undefined],
    ["pass", "root", "doas", hostPassword],
    ["pass", "plain", "doas", hostPassword],
    ["plain", "root", "su", rootPassword],
    ["deploy", "plain", "su", rootPassword],
    ["root", "plain", "su", undefined],
  ])("%s becomes %s with %s (password: %s)", async (login, user, method, password) => {
    for (const path of [".cache/volley", "who"])
      await fleet.hosts[0]!.exec([
        "rm",
        "-rf",
        `/root/${path}`,
        `/home/${login}/${path}`,
        `/home/${user}/${path}`,
      ]);
    const vars = {
      ansible_become_method: method,
      ...(password === undefined ? {} : { ansible_become_password: password }),
    };
    for (const sent of [true, false]) {
      const { summary, events } = await who(login, user, vars);
      expect(summary.hosts[0]).toMatchObject({ outcome: "ok" });
      expect(summary.hosts[0]!.error).toBeUndefined();
      expect(printed(events, "Say who")).toContain(user);
      expect(readFileSync(join(home(user), "who"), "utf8")).toBe(`${user}\n`);
      expect(summary.hosts[0]!.uploadedBytes > 0).toBe(sent);
      if (password !== undefined) expect(JSON.stringify(events)).not.toContain(password);
    }
  });

  it.each([
    ["pass", "root", "sudo", "sudo does not take the password"],
    ["pass", "plain", "sudo", "sudo does not take the password"],
    ["pass", "root", "doas", "doas does not take the password"],
    ["pass", "plain", "doas", "doas does not take the password"],
    ["plain", "root", "su", "su does not take the password"],
    ["deploy", "plain", "su", "su does not take the password"],
  ])("%s does not become %s with %s and a wrong password: tried once", async (login, user, method, said) => {
    const failures = async (): Promise<number> =>
      Number(
        (
          await fleet.hosts[0]!.exec([
            "sh",
            "-c",
            "journalctl --no-pager -q | grep -c 'authentication failure'; true",
          ])
        ).stdout,
      );
    const before = await failures();
    const { summary, events } = await who(login, user, {
      ansible_become_method: method,
      ansible_become_password: "wrong password",
    });
    expect(summary.hosts[0]).toMatchObject({
      outcome: "failed",
      error: { code: "BECOME_FAILED", message: `fleet1: ${login} cannot become ${user}: ${said}` },
    });
    expect(JSON.stringify(events)).not.toContain("wrong password");
    expect(summary.exitCode).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await failures()) - before).toBe(1);
  });

  it.each([
    ["pass", "root", "sudo", "sudo: a password is required", "-K asks for it"],
    ["plain", "root", "sudo", "sudo: a password is required", "-K asks for it"],
    ["pass", "root", "doas", "doas: Authentication required", "nopass"],
    ["plain", "root", "doas", "doas: Operation not permitted", "doas.conf"],
    ["plain", "root", "su", "su wants a password", "-K asks for it"],
    ["deploy", "nobody-there", "sudo", "sudo: unknown user nobody-there", "there is no user nobody-there"],
  ])(
    "%s cannot become %s with %s and no password: said, with what to do",
    async (login, user, method, said, hint) => {
      const { summary } = await who(login, user, { ansible_become_method: method });
      expect(summary.hosts[0]).toMatchObject({ outcome: "failed", error: { code: "BECOME_FAILED" } });
      expect(summary.hosts[0]!.error?.message).toBe(`fleet1: ${login} cannot become ${user}: ${said}`);
      expect(summary.hosts[0]!.error?.hint).toContain(hint);
    },
  );

  it("says so when the user is not in the sudoers, though its password is right", async () => {
    const { summary } = await who("plain", "root", { ansible_become_password: rootPassword });
    expect(summary.hosts[0]?.error?.message).toMatch(
      /plain cannot become root: plain is not in the sudoers file/,
    );
    expect(summary.hosts[0]?.error?.hint).toContain("plain ALL=(root) NOPASSWD: ALL");
  });

  it.each([
    "Defaults use_pty",
    "Defaults timestamp_timeout=0",
    "Defaults lecture=always",
    "Defaults log_output",
  ])("works with %s", async (line) => {
    const path = "/etc/sudoers.d/zz-test";
    await fleet.hosts[0]!.exec(["sh", "-c", `echo '${line}' >${path}`]);
    try {
      for (const user of ["root", "plain"]) {
        const { summary } = await who("pass", user, {}, { becomePassword: hostPassword });
        expect(summary.hosts[0]!.error).toBeUndefined();
        expect(summary.hosts[0]!.outcome).toBe("ok");
      }
    } finally {
      await fleet.hosts[0]!.exec(["rm", path]);
    }
  });

  it("says what to do about requiretty", async () => {
    const path = "/etc/sudoers.d/zz-test";
    await fleet.hosts[0]!.exec(["sh", "-c", `echo 'Defaults requiretty' >${path}`]);
    try {
      const { summary } = await who("deploy", "root", {});
      expect(summary.hosts[0]?.error).toMatchObject({
        code: "BECOME_FAILED",
        message: expect.stringContaining("must have a tty"),
        hint: expect.stringContaining("Defaults:deploy !requiretty"),
      });
    } finally {
      await fleet.hosts[0]!.exec(["rm", path]);
    }
  });

  it.each(["deploy", "pass"])("plays, roles and tasks of several users, logged in as %s", async (login) => {
    const [host] = fleet.hosts;
    await host!.exec([
      "sh",
      "-c",
      "rm -rf /home/*/notes /home/*/facts /home/*/handled /home/*/.cache/volley /root/.cache/volley",
    ]);
    const inventory = writeInventory(fleet, { vars: { ansible_user: login } });
    const options = { inventory, playbook: fixture("site.ts"), becomePassword: hostPassword };
    const { summary, events } = await runOn(fleet, options);
    expect(summary.hosts[0]!.failures).toEqual([]);
    expect(summary.hosts[0]!.error).toBeUndefined();
    expect(printed(events, "A command")).toBe(`plain\nplain\n/home/${login}\nin`);
    expect(printed(events, "Root's")).toBe("root");
    expect(printed(events, "The login user's")).toBe(login);
    expect(printed(events, "Who")).toBe("root");
    expect(printed(events, "Who else")).toBe("daemon");
    expect(printed(events, "Who again")).toBe("plain");
    expect(printed(events, "Who at last")).toBe(login);
    const listed = await host!.exec([
      "sh",
      "-c",
      "cd /home/plain; stat -c '%U %G %a %n %s' notes notes/* facts handled; cat notes/who notes/one facts handled",
    ]);
    expect(listed.stdout.trim().split("\n")).toEqual([
      "plain plain 750 notes 4096",
      "plain plain 644 notes/large 1600000",
      "plain plain 640 notes/one 8",
      "plain plain 644 notes/who 5",
      "plain plain 644 facts 18",
      "plain plain 644 handled 6",
      // Facts are those of the play's user.
      "root",
      "one",
      "two",
      "plain /home/plain",
      "plain",
    ]);
    const again = await runOn(fleet, options);
    // The file and its line undo each other, and notify the handler.
    expect(again.summary.tally).toMatchObject({ changed: 3, failed: 0 });
    const left = await host!.exec(["pgrep", "-fa", "[.]run --system"]);
    expect(left.stdout).toBe("");
  });

  it.each([
    ["deploy", "sudo", undefined],
    ["pass", "sudo", hostPassword],
    ["deploy", "doas", undefined],
    ["deploy", "su", rootPassword],
  ])(
    "without root: %s asks for others on the host, with %s (password: %s)",
    async (login, method, password) => {
      const [host] = fleet.hosts;
      await host!.exec(["rm", "-rf", "/home/plain/.cache/volley", "/root/.cache/volley"]);
      const inventory = writeInventory(fleet, {
        vars: { ansible_user: login, ansible_become_method: method },
      });
      const { summary, events } = await runOn(fleet, {
        inventory,
        playbook: fixture("without-root.ts"),
        ...(password === undefined ? {} : { becomePassword: password }),
      });
      expect(summary.hosts[0]!.error).toBeUndefined();
      expect(summary.hosts[0]!.failures).toEqual([]);
      const names = ["Who is logged in", "Plain", "Plain's file", "Root"];
      expect(names.map((name) => printed(events, name))).toEqual([login, "plain", "plain's", "root"]);
      if (password !== undefined) {
        expect(JSON.stringify(events)).not.toContain(password);
        const kept = await host!.exec([
          "grep",
          "-rlF",
          password,
          "/home",
          "/root",
          "/tmp",
          "/var/tmp",
          "/run",
        ]);
        expect(kept.stdout).toBe("");
      }
    },
  );

  it("a wrong password on the host fails the task, once", async () => {
    const inventory = writeInventory(fleet, { vars: { ansible_user: "pass" } });
    const { summary } = await runOn(fleet, {
      inventory,
      playbook: fixture("without-root.ts"),
      becomePassword: "wrong password",
    });
    expect(summary.hosts[0]!.failures).toMatchObject([
      {
        name: "Plain",
        error: { code: "BECOME_FAILED", message: "cannot become plain: sudo does not take the password" },
      },
    ]);
  });

  it("keeps bundle and journal from everybody else, and nothing in /tmp", async () => {
    const [host] = fleet.hosts;
    for (const user of ["root", "plain"]) await who("deploy", user, {});
    const loose = await host!.exec([
      "sh",
      "-c",
      "find /home/*/.cache /root/.cache ! -type l -perm /077; find /tmp /var/tmp /dev/shm -name '*volley*'",
    ]);
    expect(loose.stdout).toBe("");
    const owners = await host!.exec([
      "sh",
      "-c",
      "for u in deploy plain; do find /home/$u/.cache ! -user $u -printf '%p %u\\n'; done | grep -v '/bundles/[^/]*[.]js[.]'",
    ]);
    expect(owners.stdout).toBe("");
    for (const path of ["/home/deploy/.cache/volley", "/home/plain/.cache/volley", "/root/.cache/volley"]) {
      const seen = await host!.exec([
        "setpriv",
        "--reuid=daemon",
        "--regid=daemon",
        "--clear-groups",
        "ls",
        path,
      ]);
      expect(seen.code).not.toBe(0);
    }
  });
});
