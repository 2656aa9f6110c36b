import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect, type Fleet } from "../../src/controller.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import { file } from "../../src/index.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** A fleet of one host whose sshd grants a connection so many sessions. */
async function fleetGranting(sessions: number): Promise<{ readonly fleet: Fleet; readonly home: string }> {
  const embedded = await startEmbeddedFleet({ count: 1, faults: () => ({ kind: "maxSessions", sessions }) });
  onTestFinished(() => embedded.stop());
  const directory = mkdtempSync(join(scratch(), "sessions-"));
  writeFileSync(join(directory, "hosts.yaml"), embedded.inventoryYaml());
  const fleet = await connect("all", {
    inventory: join(directory, "hosts.yaml"),
    sshConfig: "none",
    knownHostsFiles: [embedded.knownHostsPath],
    connectTimeoutMs: 60_000,
    cwd: directory,
  });
  onTestFinished(() => fleet.close());
  return { fleet, home: embedded.hosts[0]!.home };
}

describe.each([1, 2])("A fleet whose host grants a connection %i sessions", (sessions) => {
  it("carries out operations that are begun together one after the other", async () => {
    const { fleet, home } = await fleetGranting(sessions);
    const source = join(mkdtempSync(join(scratch(), "put-")), "sent");
    writeFileSync(source, "sent");
    const host = fleet.host("web01");
    const touched = join(home, "touched");
    const [said, put, facts, applied, last] = await Promise.all([
      Promise.all([1, 2, 3].map((number) => host.exec(`echo ${number}`))),
      fleet.put(source, "sent"),
      fleet.facts(),
      fleet.apply(file({ path: touched, state: "touch" }), { check: sessions === 1 }),
      host.exec("echo last"),
    ]);
    expect(said.map(({ text }) => text)).toEqual(["1", "2", "3"]);
    put.orThrow();
    expect(readFileSync(join(home, "sent"), "utf8")).toBe("sent");
    expect(facts.orThrow().get("web01")!.facts!.hostname).toBeTypeOf("string");
    expect(applied.orThrow().get("web01")!.state).toBe("changed");
    expect(existsSync(touched)).toBe(sessions > 1);
    expect(last.text).toBe("last");
    expect((await host.exec("echo again")).text).toBe("again");
  });
});

it("A fleet whose host grants one session says that an action takes two, and goes on with the rest", async () => {
  const { fleet, home } = await fleetGranting(1);
  const [applied, said] = await Promise.all([
    fleet.apply(file({ path: join(home, "touched"), state: "touch" })),
    fleet.host("web01").exec("echo said"),
  ]);
  expect(applied.get("web01")!.error).toMatchObject({
    code: "SESSION_REFUSED",
    message: expect.stringMatching(/grants one session at a time .* must grant 2$/),
  });
  expect(said.text).toBe("said");
  expect((await fleet.host("web01").exec("echo again")).text).toBe("again");
});
