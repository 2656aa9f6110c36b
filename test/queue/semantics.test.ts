import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { hostOf, mostAtOnce, ofType } from "../e2e/lib/drive.ts";
import {
  makeProject,
  type Project,
  play,
  playbookText,
  scratchDirectory,
  waitFor,
} from "../e2e/lib/project.ts";
import { watchTold } from "../e2e/lib/told.ts";
import { PATIENCE_MS } from "../lib/patience.ts";
import { reachTo } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";
import { keepTwins, outcomeOf } from "./lib/same.ts";

// Plays, barriers, limits and questions mean the same by a queue as without. Two workers take two hosts each at a time.

const scratch = scratchDirectory();

function projectOf(...plays: readonly string[]): Project {
  return makeProject(scratch(), { "site.ts": playbookText(...plays) });
}

const SAY = `task("Say", debug({ msg: "hi" }));`;
const FAIL_ON_WEB01 = `task("Fail", fail({ msg: "broken" }), { when: () => host.name === "web01" }); ${SAY}`;
const THEN = play("tags: []", SAY);

/** Lets hosts go on that wait for a file. */
function create(fleet: EmbeddedFleet, name: string): void {
  for (const { home } of fleet.hosts) writeFileSync(join(home, name), "");
}

/** An inventory with a further host that nobody reaches. */
function withUnreachable(fleet: EmbeddedFleet): string {
  return fleet
    .inventoryYaml()
    .replace(/^( *)hosts:$/m, "$&\n$1  web00: { ansible_host: 127.0.0.1, ansible_port: 1 }");
}

describeQueue("a run by a queue and without", { timeout: 2 * PATIENCE_MS }, () => {
  const twins = keepTwins(5, 2);

  test("more hosts than places: batches, barriers, free and throttled plays", async () => {
    const project = projectOf(
      play('serial: [1, "50%"], order: "reverse_sorted"', SAY),
      play('strategy: "free"', SAY),
      play('throttle: 2, order: "shuffle"', SAY),
      THEN,
    );
    const { plain, queued } = await twins().both(project, { seed: "s" });
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
    expect(
      twins()
        .workers.map(({ meter }) => meter.status().done)
        .every((done) => done > 0),
    ).toBe(true);
  });

  test("one host at a time: each worker takes up the run anew", async () => {
    const { plain, queued } = await twins().both(projectOf(play("serial: 1", SAY)));
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
  });

  test("the share of failures is of the batch, and an unreachable host has failed", async () => {
    const project = projectOf(play("serial: 3, maxFailPercentage: 50", FAIL_ON_WEB01), THEN);
    const { plain, queued } = await twins().both(project, (fleet) => ({
      inventory: project.write("with-unreachable.yaml", withUnreachable(fleet)),
      connectRetries: 0,
    }));
    expect(plain.summary).toMatchObject({
      exitCode: 4,
      outcomes: { failed: 1, unreachable: 1, cancelled: 4 },
    });
    // The third host of the batch may have come to its last task or not.
    expect(queued.summary).toMatchObject({ exitCode: 4, outcomes: plain.summary.outcomes });
    expect(outcomeOf(queued).batches).toEqual(outcomeOf(plain).batches);
    expect(hostOf(queued, "web04").error).toEqual(hostOf(plain, "web04").error);
  });

  test("any error is fatal, whichever worker has the others", async () => {
    const project = projectOf(
      play("strategy: 'free'", SAY),
      play(
        "anyErrorsFatal: true",
        `task("Fail", ${waitFor("fail")}, { when: () => host.name === "web01", failedWhen: true });
         task("Wait", ${waitFor("go-fatal")}, { when: () => host.name === "web02" }); ${SAY}`,
      ),
      THEN,
    );
    let told = watchTold();
    let waiting = new Set<string>();
    const { plain, queued } = await twins().both(project, { limit: "!web05" }, (event, fleet) => {
      if (event.type === "run:start") [told, waiting] = [watchTold(), new Set()];
      told.see(event);
      if (event.type === "task:output") waiting.add(event.host);
      if (event.type === "play:end" && event.index === 1 && event.host > "web02") waiting.add(event.host);
      if (event.type === "task:output" || event.type === "play:end")
        if (waiting.size === 4) create(fleet, "fail");
      if (event.type === "play:stop") void told.next().then(() => create(fleet, "go-fatal"));
    });
    expect(plain.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 1, cancelled: 3 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
  });

  test("a host that takes too long for a play finishes its task and has failed", async () => {
    const project = projectOf(
      THEN,
      play(
        "timeout: 1",
        `task("Wait", ${waitFor("go-timeout")}, { when: () => host.name === "web01" }); ${SAY}`,
      ),
      THEN,
    );
    const { plain, queued } = await twins().both(
      project,
      { limit: "web01,web02", graceMs: 600_000 },
      (event, fleet) => {
        if (event.type === "task:output") setTimeout(() => create(fleet, "go-timeout"), 2_000);
      },
    );
    expect(plain.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 1, ok: 1 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
  });

  test("one host does a task for all, with a result for the others; the controller does delegated ones", async () => {
    const log = join(scratch(), "delegated");
    const project = projectOf(
      play(
        "tags: []",
        `const said = task("Register", shell(\`echo \${host.name} >> ${log}; echo for \${host.name}\`), { delegateTo: "controller" });
         const once = task("Once", shell(\`echo x >> "\${facts.env.HOME}/once"; seq 20000\`), { runOnce: true });
         task("Length", () => debug({ msg: String(once.data.stdout.length) }));
         task("Use", () => copy({ content: once.data.stdout, dest: \`\${facts.env.HOME}/used\` }));
         task("Tell", () => copy({ content: said.data.stdout, dest: \`\${facts.env.HOME}/told\` }));`,
      ),
    );
    const { plain, queued } = await twins().both(project);
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
    const { fleet } = twins();
    expect(fleet.hosts.filter(({ home }) => existsSync(join(home, "once")))).toHaveLength(1);
    for (const { home, name } of fleet.hosts) {
      expect(readFileSync(join(home, "used"), "utf8")).toMatch(/^1\n2\n[\s\S]*\n20000$/);
      expect(readFileSync(join(home, "told"), "utf8")).toBe(`for ${name}`);
    }
    expect(readFileSync(log, "utf8").trim().split("\n").sort()).toEqual(
      ["web01", "web02", "web03", "web04", "web05"].flatMap((name) => [name, name]),
    );
  });

  test("check mode with the texts of changes, tags and a limit", async () => {
    const project = projectOf(
      play(
        "tags: []",
        `task("Write", copy({ content: "new\\n", dest: \`\${facts.env.HOME}/checked\` }), { tags: "write" }); ${SAY}`,
      ),
    );
    const options = { check: true, diff: true, tags: ["write"], limit: "web02:web03" };
    const { plain, queued } = await twins().both(project, options);
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 2 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
    const diffs = ofType(queued.events, "task:end").map(({ result }) => JSON.stringify(result.diff ?? ""));
    expect(diffs.filter((diff) => diff.includes("new"))).toHaveLength(2);
    expect(twins().fleet.hosts.some(({ home }) => existsSync(join(home, "checked")))).toBe(false);
  });

  test("a failed run goes on where it failed", async () => {
    const project = projectOf(
      play(
        "tags: []",
        `task("Before", shell("echo before >> ~/resumed")); task("Fail once", shell("test -e ~/mended")); task("After", shell("echo after >> ~/resumed"));`,
      ),
    );
    const failed = await twins().queued(project, { limit: "web01" });
    expect(failed.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 1 } });
    create(twins().fleet, "mended");
    const resumed = await twins().queued(project, { limit: "web01", resume: failed.summary.run });
    expect(resumed.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 1 } });
    expect(readFileSync(join(twins().fleet.hosts[0]!.home, "resumed"), "utf8")).toBe("before\nafter\n");
  });

  test("questions before tasks are asked once for all hosts", async () => {
    const project = projectOf(
      play(
        "tags: []",
        `${SAY} task("Not this", shell("touch ~/not-this")); task("Last", debug({ msg: "x" }));`,
      ),
    );
    const asked: string[][] = [[], []];
    const { plain, queued } = await twins().both(project, (fleet) => ({
      step: async ({ name }) => {
        asked[fleet === twins().plain ? 0 : 1]!.push(name);
        return name === "Not this" ? "no" : "yes";
      },
    }));
    expect(asked[0]).toEqual(["Say", "Not this", "Last"]);
    expect(asked[1]).toEqual(asked[0]);
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
    expect(twins().fleet.hosts.some(({ home }) => existsSync(join(home, "not-this")))).toBe(false);
  });

  test("a limit of hosts at a time is one over all workers", async () => {
    const project = projectOf(play("tags: []", `task("Work", shell("sleep 0.2"));`));
    const queued = await twins().queued(project, { concurrency: 1 });
    expect(queued.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(mostAtOnce(queued.events)).toBe(1);
  });

  test("hosts of this machine are worked on from here, beside those of workers", async () => {
    const project = projectOf(
      play(
        "tags: []",
        `task("Mark", copy({ content: "x", dest: \`${scratch()}/local-\${host.name}\` })); ${SAY}`,
      ),
      THEN,
    );
    const { plain, queued } = await twins().both(project, (fleet) => ({
      inventory: project.write(
        "with-local.yaml",
        `${fleet.inventoryYaml()}    here: { ansible_connection: local }\n`,
      ),
      limit: "web01,here",
    }));
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expect(queued.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    const done = twins().workers.flatMap(({ meter }) => meter.status().done);
    expect(ofType(queued.events, "host:end")).toHaveLength(2);
    expect(done).toHaveLength(2);
  });

  test("hosts go to workers with their label; people are told of one that no worker has, and may cancel", async () => {
    const { fleet, queue } = twins();
    const reach = reachTo(fleet);
    const dmz = await queue.work({ name: "dmz1", labels: ["dmz"], reach });
    const project = projectOf(THEN);
    const labelled = (label: string): string =>
      project.write(
        `${label}.yaml`,
        fleet.inventoryYaml().replace(/^( *)"web01":$/m, `$&\n$1  volley_worker: ${label}`),
      );
    const ran = await twins().queued(project, { inventory: labelled("dmz") });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(dmz.meter.status().done).toBe(1);
    await dmz.stop();
    const stranded = await twins().queued(
      project,
      { inventory: labelled("nobodys") },
      (event, _fleet, cancel) => {
        if (event.type === "log" && event.level === "warn" && event.text.includes("nobodys")) cancel();
      },
    );
    expect(stranded.summary).toMatchObject({ exitCode: 130, outcomes: { ok: 4, cancelled: 1 } });
    expect(ofType(stranded.events, "log").map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/^no worker has taken a host of nobodys so far: volley worker --labels nobodys /),
    );
  });

  test("a worker of several labels takes no more hosts than it has places", async () => {
    const { fleet, queue } = twins();
    const reach = reachTo(fleet);
    const labels = ["left", "right"];
    const work = (name: string) => queue.work({ ...{ name, labels, reach }, concurrency: 1 });
    const both = [await work("both1")];
    const project = projectOf(play("tags: []", `task("Wait", ${waitFor("go-labels")});`));
    const inventory = project.write(
      "labels.yaml",
      fleet
        .inventoryYaml()
        .replace(/^( *)"web01":$/m, "$&\n$1  volley_worker: left")
        .replace(/^( *)"web02":$/m, "$&\n$1  volley_worker: right"),
    );
    let waiting = 0;
    const ran = await twins().queued(project, { inventory, limit: "web01,web02" }, (event) => {
      if (event.type !== "task:output") return;
      // The other host waits for the other worker.
      if (++waiting === 1) void work("both2").then((other) => both.push(other));
      else create(fleet, "go-labels");
    });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    expect(both.map(({ meter }) => meter.status().done)).toEqual([1, 1]);
    for (const { stop } of both) await stop();
  });

  test("cancelled: hosts at work end their task, those at a barrier and those not yet taken end", async () => {
    const project = projectOf(
      play("tags: []", `task("Wait", ${waitFor("go-cancel")}, { when: () => host.name < "web04" }); ${SAY}`),
      THEN,
    );
    const told = watchTold();
    const waiting = new Set<string>();
    const ran = await twins().queued(project, {}, (event, fleet, cancel) => {
      told.see(event);
      if (event.type !== "task:output" && event.type !== "play:end") return;
      // Three hosts wait in a task; of the two others one has a worker's place at a time, or both have ended the play.
      waiting.add(event.host);
      if (waiting.size < 5) return;
      waiting.clear();
      cancel();
      void told.next().then(() => create(fleet, "go-cancel"));
    });
    expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 5 }, tally: { changed: 3 } });
    expect(ofType(ran.events, "run:cancel").map(({ how }) => how)).toEqual(["clean"]);
  });

  test("cancelled twice: hosts at work end now, and those that no worker has taken were never touched", async () => {
    const project = projectOf(play("tags: []", `task("Hang", shell("echo waiting; sleep 1000"));`));
    const before = twins().fleet.hosts.map(({ stats }) => stats.connections);
    let waiting = 0;
    const ran = await twins().queued(project, {}, (event, _fleet, cancel) => {
      if (event.type !== "task:output" || ++waiting < 4) return;
      cancel();
      cancel();
    });
    expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 5 } });
    const touched = twins().fleet.hosts.filter(({ stats }, index) => stats.connections > before[index]!);
    expect(touched).toHaveLength(4);
  });

  test("a worker that stops finishes its hosts, or hands them back: no task is done twice", async () => {
    const { fleet, queue } = twins();
    const reach = reachTo(fleet);
    const leaving = await queue.work({ name: "leaving", labels: ["leaving"], reach });
    const project = projectOf(
      play(
        "tags: []",
        `task("Count", shell("echo x >> ~/counted")); task("Wait", ${waitFor("go-stop")}); task("Count on", shell("echo y >> ~/counted"));`,
      ),
      THEN,
    );
    const inventory = project.write(
      "leaving.yaml",
      fleet.inventoryYaml().replace(/^( *)"web0[12]":$/gm, "$&\n$1  volley_worker: leaving"),
    );
    let waiting = 0;
    let stopped: Promise<unknown> = Promise.resolve();
    const ran = await twins().queued(project, { inventory, limit: "web01,web02" }, (event) => {
      if (event.type !== "task:output" || ++waiting !== 2) return;
      const others = queue.work({ name: "others", labels: ["leaving"], reach });
      stopped = Promise.all([leaving.stop(), others.then(() => leaving.worker.handBack())]);
      void stopped.then(() => create(fleet, "go-stop"));
    });
    await stopped;
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
    for (const { home } of fleet.hosts.slice(0, 2))
      expect(readFileSync(join(home, "counted"), "utf8")).toBe("x\ny\n");
  });

  test("playbooks in YAML that need no controller; what cannot be done by a queue is refused", async () => {
    const project = makeProject(scratch(), {
      "site.yml": `- hosts: all
  vars: { word: yaml }
  tasks:
    - name: Tell
      debug: { msg: "{{ word }} on {{ inventory_hostname }}" }
    - name: Once
      command: echo once
      run_once: true
      register: once
    - name: Use
      copy: { content: "{{ once.stdout }}", dest: "{{ ansible_env.HOME }}/yaml" }
`,
      "needs.yml": `- hosts: all
  tasks:
    - name: There
      command: hostname
      delegate_to: web02
`,
      "silent.yml": `- hosts: all
  gather_facts: false
  tasks:
    - debug: { msg: hi }
`,
    });
    const yaml = { playbook: project.path("site.yml") };
    const { plain, queued } = await twins().both(project, yaml);
    expect(plain.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    expect(outcomeOf(queued)).toEqual(outcomeOf(plain));
    // Without a queue nobody would even connect to the hosts.
    const silent = await twins().queued(project, { playbook: project.path("silent.yml") });
    expect(silent.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
    const refusals = [
      [{ playbook: project.path("needs.yml") }, "needs.yml:3:7: it is delegated to web02"],
      [{ ...yaml, via: "direct" as const }, "they work by bundles alone"],
    ] as const;
    for (const [refused, why] of refusals)
      await expect(twins().queued(project, refused)).rejects.toMatchObject({
        code: "USAGE",
        message: expect.stringMatching(new RegExp(`^workers cannot carry .* out: ${why}$`)),
      });
  });
});
