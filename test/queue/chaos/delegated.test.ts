import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { lendHostCode } from "../../e2e/lib/cli.ts";
import { ofType } from "../../e2e/lib/drive.ts";
import { playbookText, scratchDirectory } from "../../e2e/lib/project.ts";
import { until } from "../../lib/patience.ts";
import { describeQueue, type RedisServer, startRedis } from "../lib/redis.ts";
import { linesIn, type Process, Rig } from "./rig.ts";

const scratch = scratchDirectory();

describeQueue("a task that the controller does for hosts of workers", () => {
  let server: RedisServer;
  let fleet: EmbeddedFleet;
  let rig: Rig;
  let worker: Process;
  let directory: string;
  const begun = (): readonly string[] => [...linesIn(join(directory, "begun"))].sort();
  const BOTH = ["web01", "web02"];

  beforeAll(async () => {
    server = await startRedis();
    fleet = await startEmbeddedFleet({ count: 2 });
    for (const { home } of fleet.hosts) lendHostCode(home);
    directory = scratch();
    const playbook = playbookText(`{ name: "One", hosts: "all", tasks: ({ task, facts, host }) => {
      const said = task("there", shell(\`echo \${host.name} >> ${directory}/begun; while [ ! -e ${directory}/go ]; do sleep 0.02; done; echo for \${host.name}\`), { delegateTo: "controller" });
      task("tell", () => shell(\`echo \${said.data.stdout.trim()} >> "\${facts.env.HOME}/marks"\`));
    } }`);
    rig = new Rig(scratch(), server, fleet, playbook);
    worker = await rig.work();
  });
  afterAll(async () => {
    // A task of a controller that was killed may still wait.
    writeFileSync(join(directory, "go"), "");
    await rig?.stop();
    await fleet?.stop();
    await server?.stop();
  });

  test("is done once, whoever has the host when it has been done", async () => {
    let back = 0;
    const controller = await rig.control({
      on: ({ type }) => {
        if (type === "host:back" && ++back === 2) writeFileSync(join(directory, "go"), "");
      },
    });
    await until(() => begun().length === 2);
    worker.signal("SIGKILL");
    await worker.end;
    worker = await rig.work();
    expect(await controller.end, controller.said()).toBe(0);
    expect(begun()).toEqual(BOTH);
    expect(rig.marks()).toEqual({ web01: ["for web01"], web02: ["for web02"] });
    expect(
      ofType(controller.events, "task:end")
        .map(({ host, name }) => `${host} ${name}`)
        .sort(),
    ).toEqual(BOTH.flatMap((host) => [`${host} tell`, `${host} there`]));
  });

  test("is not done again by the next controller, which says that its outcome is not known", async () => {
    for (const file of ["go", "begun"]) rmSync(join(directory, file));
    const controller = await rig.control();
    await until(() => begun().length === 2);
    controller.signal("SIGKILL");
    await controller.end;
    const next = await rig.takeOver(controller.run()!);
    expect(next.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 2 } });
    const ends = ofType(next.events, "task:end");
    expect(ends.map(({ host, name, result: { state } }) => `${host} ${name} ${state}`).sort()).toEqual(
      BOTH.map((host) => `${host} there failed`),
    );
    // The question of a host may have been on its way to the log.
    for (const { result } of ends)
      expect(result.error?.message).toMatch(
        /^the controller (was ended while it did this: whether it was done is not known|that started this run is gone)/,
      );
    expect(begun()).toEqual(BOTH);
    expect(rig.marks()).toEqual({ web01: [], web02: [] });
  });
});
