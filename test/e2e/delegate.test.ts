import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fleetStarter, hostOf, ofType, provision, type Ran } from "./lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

function projectOf(tasks: string, more = ""): Project {
  const text = `{ name: "Register", hosts: "all", ${more} tasks: ({ task, facts, host, check }) => {
    void [facts, host, check]; ${tasks} } }`;
  return makeProject(scratch(), { "site.ts": playbookText(text) });
}

function stateOf(ran: Ran, name: string, host = "web01"): string | undefined {
  return ofType(ran.events, "task:end").find((end) => end.host === host && end.name === name)?.result.state;
}

test("an action is performed on the controller, once for each host, with that host's vars", async () => {
  const out = scratch();
  const project = projectOf(
    `const said = task("Register", shell(\`echo \${host.name} >> ${out}/register; echo from $PPID\`), { delegateTo: "controller" });
     task("Say", shell(() => {}), { when: () => false });
     task("Tell", () => copy({ content: said.data.stdout, dest: \`\${facts.env.HOME}/told\` }));
     task("Each", (item) => file({ path: \`${out}/\${host.name}-\${item}\`, state: "touch" }), { loop: ["a", "b"], delegateTo: "controller" });`.replace(
      `task("Say", shell(() => {}), { when: () => false });`,
      `task("Not here", shell("exit 1"), { when: () => false, delegateTo: "controller" });`,
    ),
  );
  const fleet = await startFleet({ count: 3 });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 3 } });
  expect(readFileSync(join(out, "register"), "utf8").trim().split("\n").sort()).toEqual([
    "web01",
    "web02",
    "web03",
  ]);
  // The shell's parent is this very process: nothing went to the host but what came of it.
  for (const { home } of fleet.hosts) {
    expect(readFileSync(join(home, "told"), "utf8")).toBe(`from ${process.pid}`);
    expect(existsSync(join(home, "register"))).toBe(false);
  }
  for (const name of ["web01", "web02", "web03"])
    for (const item of ["a", "b"]) expect(existsSync(join(out, `${name}-${item}`))).toBe(true);
  const end = ofType(ran.events, "task:end").find(({ name }) => name === "Register");
  expect(end?.result.message).toMatch(/^on the controller/);
});

test("it is tried again, judged and notified of as any other; a failure is the host's", async () => {
  const out = scratch();
  const project = projectOf(
    `task("Count", shell("echo x >> ${out}/tries; wc -l < ${out}/tries"), { delegateTo: "controller",
       until: (result) => result.data.stdout.trim() === "3", retries: 4, delay: 0, changedWhen: false });
     task("Break", shell("echo no; exit 3"), { delegateTo: "controller" });
     task("After", debug({ msg: "hi" }));`,
  );
  const ran = await provision(project, await startFleet({ count: 1 }));
  expect(readFileSync(join(out, "tries"), "utf8")).toBe("x\nx\nx\n");
  expect(stateOf(ran, "Count")).toBe("unchanged");
  expect(hostOf(ran, "web01")).toMatchObject({ outcome: "failed", tally: { failed: 1, notExecuted: 1 } });
});

test("a host that is worked on directly is done no other", async () => {
  const out = scratch();
  const project = projectOf(
    `const said = task("Register", shell(\`echo \${host.name} >> ${out}/direct; echo by $PPID\`), { delegateTo: "controller" });
     task("Tell", () => copy({ content: said.data.stdout, dest: \`\${facts.env.HOME}/told\` }));`,
  );
  const fleet = await startFleet({ count: 2, faults: () => ({ kind: "noNode" }) });
  const ran = await provision(project, fleet, { via: "direct" });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  expect(readFileSync(join(out, "direct"), "utf8").trim().split("\n").sort()).toEqual(["web01", "web02"]);
  for (const { home } of fleet.hosts)
    expect(readFileSync(join(home, "told"), "utf8")).toBe(`by ${process.pid}`);
});

test("check mode changes nothing on the controller either", async () => {
  const out = scratch();
  const project = projectOf(
    `task("Write", copy({ content: "a", dest: "${out}/checked" }), { delegateTo: "controller" });`,
  );
  const ran = await provision(project, await startFleet({ count: 1 }), { check: true });
  expect(stateOf(ran, "Write")).toBe("changed");
  expect(existsSync(join(out, "checked"))).toBe(false);
});

test.each([
  ["what comes after facts", `void facts.hostname;`, ""],
  ["what an earlier task found out", `const one = task("One", shell("echo 1")); await one;`, "async"],
])("%s is refused: the controller cannot find it by itself", async (_what, before, async) => {
  const out = scratch();
  const play = `{ name: "Register", hosts: "all", tasks: ${async} ({ task, facts }) => { void facts; ${before}
    task("Late", shell("touch ${out}/late"), { delegateTo: "controller" }); } }`;
  const project = makeProject(scratch(), { "site.ts": playbookText(play) });
  const ran = await provision(project, await startFleet({ count: 1 }));
  const end = ofType(ran.events, "task:end").find(({ name }) => name === "Late");
  expect(end?.result.error).toMatchObject({ code: "DELEGATE_REFUSED" });
  expect(existsSync(join(out, "late"))).toBe(false);
});

test("become is refused beside it, as is any other place, before a host is touched", async () => {
  for (const option of [`delegateTo: "controller", become: true`, `delegateTo: "web02" as "controller"`]) {
    const project = projectOf(`task("Odd", debug({ msg: "x" }), { ${option} });`);
    const fleet = await startFleet({ count: 1 });
    await expect(provision(project, fleet)).rejects.toMatchObject({ code: "PLAYBOOK_INVALID" });
    expect(fleet.hosts[0]!.stats.connections).toBe(0);
  }
});
