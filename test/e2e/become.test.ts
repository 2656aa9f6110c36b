import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, hostOf, keptBundles, provision } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** A host whose sudo is this script. */
async function tryWith(sudo: string, become: string | boolean): ReturnType<typeof provision> {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(TWO_FILES),
    "bin/sudo": `#!/bin/sh\n${sudo}\n`,
  });
  chmodSync(project.path("bin/sudo"), 0o755);
  const fleet = await startFleet({ count: 1, env: { PATH: `${project.path("bin")}:${process.env.PATH}` } });
  const ran = await provision(project, fleet, { become });
  expect(keptBundles(fleet.hosts[0]!).temporary).toEqual([]);
  return ran;
}

test("become root: started through sudo, without a question", async () => {
  const { summary } = await tryWith(
    'echo "$*" > "$HOME/asked"; while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    true,
  );
  expect(summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
});

test("become another user: it gets a copy of its own, in its own home", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(TWO_FILES),
    "bin/sudo":
      '#!/bin/sh\nHOME="$HOME/of-$4"; mkdir -p "$HOME"; while [ "$1" != -- ]; do shift; done; shift; exec "$@"\n',
  });
  chmodSync(project.path("bin/sudo"), 0o755);
  const fleet = await startFleet({ count: 1, env: { PATH: `${project.path("bin")}:${process.env.PATH}` } });
  const first = await provision(project, fleet, { become: "deploy" });
  expect(first.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  const home = join(fleet.hosts[0]!.home, "of-deploy");
  expect(readFileSync(join(home, "a"), "utf8")).toBe("a\n");
  expect(keptBundles({ home })).toMatchObject({ bundles: [expect.any(String)], temporary: [] });
  expect((await provision(project, fleet, { become: "deploy" })).summary.tally).toMatchObject({
    unchanged: 2,
    changed: 0,
  });
});

test.each([
  ["wants a password", 'echo "sudo: a password is required" >&2; exit 1', "sudo: a password is required"],
  [
    "does not know the user",
    'echo "ops is not in the sudoers file." >&2; exit 1',
    "ops is not in the sudoers file.",
  ],
])("sudo %s: said, with what to do", async (_what, sudo, said) => {
  const ran = await tryWith(sudo, true);
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "failed",
    error: {
      code: "BECOME_FAILED",
      message: expect.stringMatching(new RegExp(`^web01: \\S+ cannot become root: ${said}$`)),
      hint: expect.stringContaining("NOPASSWD"),
    },
  });
  expect(ran.summary.exitCode).toBe(1);
});

test("no sudo there: said", async () => {
  const ran = await tryWith('echo "sh: 3: exec: sudo: not found" >&2; exit 127', true);
  expect(hostOf(ran, "web01").error).toMatchObject({
    code: "BECOME_FAILED",
    message: expect.stringMatching(/cannot become root: there is no sudo there$/),
  });
});
