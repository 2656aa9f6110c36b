import { expect, test } from "vitest";
import { volley } from "./lib/cli.ts";
import { fleetStarter } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

test("what one command selects another can use: hosts that failed, that changed, those of a run, and names on stdin", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(`{ name: "Mark", hosts: "all", tasks: ({ task, facts }) => {
      task("Mark", copy({ content: "x", dest: \`\${facts.env.HOME}/mark\` })); } }`),
  });
  const fleet = await startFleet({ count: 4 });
  project.write("inventory.yaml", fleet.inventoryYaml());
  const reach = ["-i", "inventory.yaml", "--known-hosts", fleet.knownHostsPath, "--ssh-config", "none"];
  const at = { cwd: project.directory };
  const say = "echo $VOLLEY_EMBEDDED_HOST";
  const saidBy = async (...hosts: readonly string[]): Promise<readonly string[]> => {
    const { stdout } = await volleyHere(["exec", ...reach, ...hosts, "-B", say], at);
    return [...stdout.matchAll(/^web\d+$/gm)].map(([name]) => name).sort();
  };

  const failed = await volleyHere(
    ["exec", ...reach, "all", "case $VOLLEY_EMBEDDED_HOST in web02|web03) exit 1;; esac"],
    at,
  );
  expect(failed.code).toBe(2);
  const run = await volleyHere(["run", "site.ts", ...reach, "-l", "@failed", "-o", "plain"], at);
  expect(run.stdout).toMatch(/2 hosts: 2 ok/);
  expect(await saidBy("@changed")).toEqual(["web02", "web03"]);

  const listed = await volleyHere(["runs"], at);
  expect(listed.stdout).toMatch(/-exec .* 4 hosts: 2 ok, 2 failed$/m);
  const [name] = /^\S+-exec/m.exec(listed.stdout.split("\n").slice(-2)[0]!) ?? [];
  expect(await saidBy(`@${name}`)).toEqual(["web01", "web02", "web03", "web04"]);

  const names = { ...at, stdin: "web04 # the last\n\nweb01\n" };
  expect((await volley(["inventory", "list", "-i", "inventory.yaml", "-l", "-"], names)).stdout).toMatch(
    /web01[\s\S]*web04/,
  );
  const again = await volley(["run", "site.ts", ...reach, "-l", "-", "-o", "plain"], names);
  expect(again.stdout).toMatch(/2 hosts: 2 ok/);
  expect(again.stdout).not.toMatch(/web02/);
  const nobody = await volley(["run", "site.ts", ...reach, "-l", "-"], at);
  expect(nobody).toMatchObject({ code: 1, stderr: "volley: there is no host name on stdin\n" });
});
