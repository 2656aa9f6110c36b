import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
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
  if (host.name === "fleet2") task("Fail once", shell("[ -e /etc/failed ] || { : >/etc/failed; exit 1; }"));
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
        ...{ playbook: "site.ts", cwd: project.directory, signing: { key }, attempts: 1 },
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

  const errorsOf = (host: FleetHost): unknown =>
    JSON.parse(readFileSync(join(host.root, "var/lib/cloud/data/result.json"), "utf8")).v1.errors;
  const read = (host: FleetHost, path: string): string => readFileSync(join(host.root, path), "utf8");

  it("are provisioned at the first boot, with the bundle of the seed's volume", () => {
    const [host] = hosts;
    expect(errorsOf(host!)).toEqual([]);
    expect(read(host!, "etc/provisioned")).toBe("I am fleet1\n");
    expect(read(host!, `${STATE}/done`).trim()).toBe(bundles[0]);
    expect(read(host!, "var/log/cloud-init-output.log")).toContain("signed by volley with ED25519 key");
    expect(statSync(join(host!.root, STATE)).mode & 0o777).toBe(0o700);
  });

  it("tell cloud-init of a failure, with the bundle of a URL", () => {
    const host = hosts[1]!;
    expect(errorsOf(host)).toEqual([expect.stringContaining("scripts-user")]);
    expect(read(host, "etc/provisioned")).toBe("I am fleet2\n");
    expect(existsSync(join(host.root, STATE, "done"))).toBe(false);
  });

  it("do nothing at the second boot, or what has failed at the first", async () => {
    await Promise.all(hosts.map((host) => host.reboot({ timeoutMs: 240_000 })));
    const shown = ["systemctl", "show", "-p", "ConditionResult,UnitFileState", "volley-first-boot"] as const;
    const units = hosts.map(async (host) => (await host.exec(shown)).stdout.trim().split("\n").sort());
    expect(await Promise.all(units)).toEqual([
      ["ConditionResult=no", "UnitFileState=enabled"],
      ["ConditionResult=yes", "UnitFileState=enabled"],
    ]);
    for (const [index, host] of hosts.entries()) {
      expect(read(host, "etc/counted")).toBe("once\n");
      expect(read(host, `${STATE}/done`).trim()).toBe(bundles[index]);
    }
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
