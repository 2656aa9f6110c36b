import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeQueueKey } from "../../src/queue/keys.ts";
import type { CliEnd } from "../e2e/lib/cli.ts";
import { fleetStarter, follow, start } from "../e2e/lib/drive.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { makeProject, type Project, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { queueStarter, reachTo, type TestQueue } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

// Commands that a queue refuses end at once with one line that says what to do, and leave nothing behind.

const scratch = scratchDirectory();

describeQueue("a command with a queue that cannot be used", () => {
  const startFleet = fleetStarter(afterAll);
  const startQueue = queueStarter(afterAll);
  let queue: TestQueue;
  let project: Project;
  let otherKey = "";
  /** A run that has ended. */
  let run = "";

  beforeAll(async () => {
    queue = await startQueue();
    const fleet = await startFleet({ count: 1 });
    project = makeProject(scratch(), {
      "site.ts": playbookText(
        `{ hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "hi" })); } }`,
      ),
      "winrm.yaml": "all:\n  hosts:\n    win1: { ansible_connection: winrm }\n",
      "needs.yml": `- hosts: all\n  tasks:\n    - debug: { msg: "{{ lookup('env', 'HOME') }}" }\n`,
    });
    otherKey = join(scratch(), "other.key");
    writeFileSync(otherKey, makeQueueKey(), { mode: 0o600 });
    const worker = await queue.work({ reach: reachTo(fleet) });
    const { events, summary } = await follow(start(project, fleet, {}, await queue.open()));
    expect(summary.exitCode).toBe(0);
    run = (events[0] as { readonly run: string }).run;
    await worker.stop();
  });

  /** Carry out a command in which URL is that of the queue, KEY the file of another key, and RUN the run. */
  const volley = (line: string): Promise<CliEnd> => {
    const words = { URL: queue.server.url, KEY: otherKey, RUN: run };
    const args = line.split(" ").map((word) => words[word as keyof typeof words] ?? word);
    const env = { VOLLEY_QUEUE_KEY_FILE: queue.keyFile, VOLLEY_INVENTORY: project.path("inventory.yaml") };
    return volleyHere(args, { cwd: project.directory, env });
  };

  test.each([
    [
      "run site.ts --queue redis://127.0.0.1:1",
      /127\.0\.0\.1:1 cannot be used: nothing listens there \(start/,
    ],
    ["run site.ts --queue http://127.0.0.1", /"http:\/\/" is no kind of queue \(write redis:\/\/HOST,/],
    [
      "run site.ts --queue URL --queue-key nowhere.key",
      /nowhere\.key cannot be read: .* \("volley queue-key -o FILE" /,
    ],
    ["run site.ts --queue URL --queue-key=", /--queue-key names no file \(volley queue-key -o FILE/],
    ["queue-key --output=", /--output names no file \(- is standard output\)/],
    ["run site.ts --queue URL --queue-key site.ts", /(other users may read|is not a queue key)/],
    ["run site.ts --queue URL --queue-cert x.pem", /has no TLS, .* \(write rediss:\/\//],
    [
      "run site.ts --queue URL --via direct",
      /workers cannot carry site\.ts out: .* \(leave out --via direct, or --queue\)/,
    ],
    [
      "run needs.yml --queue URL",
      /needs\.yml:3:7: the lookup env reads on the controller \(run it without --queue\)/,
    ],
    [
      "run site.ts --queue URL -i winrm.yaml",
      /winrm\.yaml:3: ansible_connection of host win1: .* not by "winrm"/,
    ],
    ["run site.ts --queue URL --local", /--local works without a connection: leave out --queue/],
    [
      "run site.ts --queue URL --bundle-store ftp://host/",
      /a bundle store is https:\/\/HOST\/PATH\/ or s3:\/\//,
    ],
    ["run site.ts --queue-key KEY", /--queue-key is for runs by a queue, .* \(add --queue redis:\/\/HOST\)/],
    ["run site.ts --bundle-store http://127.0.0.1:1/", /--bundle-store is for runs by a queue/],
    ["worker", /which queue\? \(name it with --queue redis:\/\/HOST, or in VOLLEY_QUEUE\)/],
    ["worker --queue redis://127.0.0.1:1", /nothing listens there/],
    ["worker --queue URL --labels A", /"A" is not a label: small letters/],
    ["worker --queue URL --name /", /"\/" is no name of a worker \(use letters/],
    ["worker --queue URL --listen host", /cannot listen on "host" \(write a port/],
    [
      "attach --queue URL 20260101-000000-00000",
      /there is no run 20260101-000000-00000 in this queue \(volley fleet lists/,
    ],
    [
      "attach --queue URL RUN --queue-key KEY",
      /is not from a process that has the queue key, .* \(.*need the same key: see --queue-key\)/,
    ],
    ["attach --queue URL?prefix=empty", /there has been no run in this queue yet/],
    ["attach --watch", /--watch is for runs by a queue/],
    ["fleet", /which queue\?/],
  ])("volley %s", async (line, says) => {
    const { code, stdout, stderr } = await volley(line.replace(/URL\?/, `${queue.server.url}?`));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^volley: [^\n]+\n$/);
    expect(stderr).toMatch(says);
  });

  test("nothing is left in the queue", async () => {
    expect(await queue.server.cli("zcard", "volley:runs")).toBe("1");
    expect(await queue.server.cli("keys", "*:check:*")).toBe("");
  });
});
