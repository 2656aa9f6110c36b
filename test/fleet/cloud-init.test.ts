import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSeed, makeUserData, type UserData } from "../../src/image/cloud-init.ts";
import { makePayload, type Payload } from "../../src/image/payload.ts";
import { makeKeyring } from "../bundle/signing/lib.ts";
import { makeProject, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { readIso } from "../image/read-iso.ts";
import { bootFleet, type Fleet } from "./lib/fleet.ts";
import type { FleetHost } from "./lib/host.ts";
import { fleetAvailable } from "./lib/requirements.ts";

// Machines with Debian's cloud-init, whose datasource NoCloud finds its files in the directory of the seed: a container
// has no volumes, and cloud-init does not look for any there.

const SEED = "var/lib/cloud/seed/nocloud";
const STATE = "var/lib/volley/first-boot";

const site = playbookText(`{ name: "First boot", hosts: "all", tasks: ({ task, host }) => {
  task("Say who this is", copy({ content: "I am " + host.name + "\\n", dest: "/etc/provisioned" }));
  task("Count", shell("echo once >>/etc/counted"));
} }`);

/** Settings of the machine's image: it shares this machine's network, and only the modules at hand take time. */
const imageSettings = `network: { config: disabled }
cloud_init_modules: [write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
`;

describe.skipIf(!fleetAvailable())("machines that cloud-init provisions", () => {
  const scratch = scratchDirectory();
  let fleet: Fleet;
  let server: Server;
  let hosts: readonly FleetHost[];
  let bundles: readonly string[];

  beforeAll(async () => {
    const project = makeProject(scratch(), { "site.ts": site });
    const key = makeKeyring(scratch()).make("alice");
    const payloadFor = (name: string): Promise<Payload> =>
      makePayload({
        ...{ playbook: "site.ts", cwd: project.directory, signing: { key } },
        ...{ inventory: ["fleet1,fleet2,"], limit: name },
      });
    const payloads = [await payloadFor("fleet1"), await payloadFor("fleet2")] as const;
    bundles = payloads.map(({ bundle }) => bundle.id);

    server = createServer((_request, response) => {
      response.end(payloads[1].bundle.bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/site.run`;

    const fromVolume = makeUserData(payloads[0], { hasVolume: true });
    expect(fromVolume.source).toBe("volume");
    const seeds: Record<string, readonly [Payload, UserData]> = {
      fleet1: [payloads[0], fromVolume],
      fleet2: [payloads[1], makeUserData(payloads[1], { url })],
    };
    fleet = await bootFleet({
      count: 2,
      packages: ["cloud-init"],
      bootTimeoutMs: 240_000,
      prepare(root, name) {
        writeFileSync(join(root, "etc/cloud/cloud.cfg.d/99-fleet.cfg"), imageSettings);
        mkdirSync(join(root, SEED), { recursive: true });
        for (const file of readIso(makeSeed(...seeds[name]!)).joliet.files)
          writeFileSync(join(root, SEED, file.name), file.content);
      },
    });
    hosts = fleet.hosts;
  });
  afterAll(async () => {
    await fleet?.stop();
    server?.close();
  });

  it.each([
    ["from the volume of the seed", 0],
    ["from a URL", 1],
  ])("is provisioned at the first boot, with the bundle %s", async (_name, index) => {
    const host = hosts[index]!;
    const result = readFileSync(join(host.root, "var/lib/cloud/data/result.json"), "utf8");
    expect(JSON.parse(result)).toEqual({
      v1: { datasource: expect.stringContaining("NoCloud"), errors: [] },
    });
    expect(readFileSync(join(host.root, "etc/provisioned"), "utf8")).toBe(`I am ${host.name}\n`);
    expect(readFileSync(join(host.root, STATE, "done"), "utf8").trim()).toBe(bundles[index]);
    expect(readFileSync(join(host.root, "var/log/cloud-init-output.log"), "utf8")).toContain(
      "signed by volley with ED25519 key",
    );
    expect(statSync(join(host.root, STATE)).mode & 0o777).toBe(0o700);
  });

  it("does nothing at the second boot", async () => {
    const [host] = hosts;
    await host!.reboot({ timeoutMs: 240_000 });
    expect(readFileSync(join(host!.root, "etc/counted"), "utf8")).toBe("once\n");
    const { stdout } = await host!.exec([
      "systemctl",
      "show",
      "-p",
      "ConditionResult,UnitFileState",
      "volley-first-boot",
    ]);
    expect(stdout.trim().split("\n").sort()).toEqual(["ConditionResult=no", "UnitFileState=enabled"]);
  });

  it("accepts the user-data by its schema", async () => {
    const { stdout, stderr } = await hosts[0]!.exec([
      "cloud-init",
      "schema",
      "--config-file",
      `/${SEED}/user-data`,
    ]);
    expect(stdout + stderr).toContain("Valid cloud-config");
  });
});
