import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { volleyHere } from "../e2e/lib/here.ts";
import { standIns } from "../transport/container/programs.ts";

// `-c` of the commands without a playbook. The stand-ins for the container programs lead to this user's own home: nothing
// that takes its lock or cleans it is done there.

const directory = mkdtempSync(join(tmpdir(), "volley-kinds-"));
mkdirSync(join(directory, "home"));
writeFileSync(join(directory, "sent"), "text\n");
afterAll(() => rmSync(directory, { recursive: true }));

function volley(...args: readonly string[]) {
  return volleyHere(args, {
    cwd: directory,
    env: { LC_ALL: "C.UTF-8", NO_COLOR: "1", HOME: join(directory, "home"), VOLLEY_INVENTORY: "" },
  });
}

it.each([
  ["exec", ["shop", "echo", "-c", "mine"], "shop │ -c mine\n"],
  ["put", ["shop", "sent", join(directory, "put")], undefined],
  ["get", ["shop", join(directory, "sent"), "got"], undefined],
  ["facts", ["shop", "system"], "ansible_system  Linux\n"],
])("volley %s reaches a container that no inventory names", async (command, words, shown) => {
  const programs = standIns();
  const { code, stdout, stderr } = await volley(command, "-c", "docker", ...words);
  expect([stderr, code]).toEqual([expect.not.stringContaining("volley:"), 0]);
  if (shown !== undefined) expect(stdout).toEqual(shown);
  expect(programs.calls()[0]).toEqual(["docker", "exec", "-i", "-u", "root", "shop"]);
  if (command === "put") expect(readFileSync(join(directory, "put"), "utf8")).toBe("text\n");
  if (command === "get") expect(readFileSync(join(directory, "got/shop/sent"), "utf8")).toBe("text\n");
});

it("the inventory's own connection goes first", async () => {
  const programs = standIns();
  const hosts = "app\nhere ansible_connection=local\n";
  writeFileSync(join(directory, "hosts"), hosts);
  const { code, stdout } = await volley("exec", "-i", "hosts", "-c", "podman", "-f1", "all", "echo hi");
  expect([code, stdout]).toEqual([0, "app  │ hi\nhere │ hi\n"]);
  expect(new Set(programs.calls().map((words) => words.join(" ")))).toEqual(
    new Set(["podman exec -i -u root app"]),
  );
});

it("volley shell takes the option, too", async () => {
  const { stderr } = await volley("shell", "-c", "podman", "app");
  expect(stderr).toContain("volley shell needs a terminal");
});

it("refuses a connection that Volley lacks", async () => {
  const { code, stderr } = await volley("exec", "-c", "winrm", "app", "true");
  expect([code, stderr]).toEqual([
    1,
    'volley: host app: Volley connects by ssh, local, docker, podman, lxd, incus, nspawn or chroot, not by "winrm"\n',
  ]);
});
