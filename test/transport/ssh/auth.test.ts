import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import ssh2 from "ssh2";
import { expect, onTestFinished, test } from "vitest";
import type { Host } from "../../../src/core/inventory.ts";
import { generateKey } from "../../../src/embedded/host.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import { fleetStarter, hostsOf, makeHost, transportsOpener, visit } from "../lib/reach.ts";
import { scratchHome } from "../lib/scratch.ts";

const scratch = scratchHome();
const startFleet = fleetStarter();
const open = transportsOpener();
const hasOpenSsh = ["ssh-keygen", "ssh-agent", "ssh-add"].every((tool) => existsSync(`/usr/bin/${tool}`));
const PASSWORD = "correct horse";

interface Site {
  readonly fleet: EmbeddedFleet;
  readonly host: Host;
  readonly known: { readonly knownHostsFiles: readonly string[] };
}

async function site(options: Partial<EmbeddedFleetOptions> = {}): Promise<Site> {
  const fleet = await startFleet(options);
  const [host] = hostsOf(fleet, { privateKeyFile: undefined });
  return { fleet, host: host!, known: { knownHostsFiles: [fleet.knownHostsPath] } };
}

const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
const byPassword: Partial<EmbeddedFleetOptions> = { passwords: [{ user, password: PASSWORD }] };
const byPrompt = (prompt: string, echo = false): Partial<EmbeddedFleetOptions> => ({
  keyboardInteractive: [{ user, prompts: [{ prompt, answer: PASSWORD, echo }] }],
});

test.each([
  ["a password", byPassword],
  ["an answer to a prompt", byPrompt("Password: ")],
])("%s: from the command line, and from the inventory, which wins", async (_what, options) => {
  const { host, known } = await site(options);
  expect(await visit(await open([host], { ...known, password: PASSWORD }), host)).toBe("here\n");
  for (const name of ["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"]) {
    const own = { ...host, vars: { [name]: "{{ secret }}", secret: PASSWORD } };
    expect(await visit(await open([own], { ...known, password: "wrong" }), own)).toBe("here\n");
  }
});

test.each([
  ["password", byPassword],
  ["prompt", byPrompt("Password: ")],
  ["password and prompt", { ...byPassword, ...byPrompt("Password: ") }],
])("a wrong password is tried once: %s", async (_what, options) => {
  const { host, known, fleet } = await site(options);
  const transports = await open([host], { ...known, password: "wrong", connectRetries: 5 });
  await expect(visit(transports, host)).rejects.toMatchObject({
    code: "AUTH_FAILED",
    message: `web01 did not accept the password for user ${user}`,
    hint: "check the user and the password",
  });
  expect(fleet.hosts[0]!.stats.connections).toBe(1);
});

test("keys come first, then the password", async () => {
  const { host, known } = await site(byPassword);
  scratch.write("home/.ssh/id_ed25519", generateKey("of no use").privateKey);
  expect(await visit(await open([host], { ...known, password: PASSWORD }), host)).toBe("here\n");
  await expect(visit(await open([host], { ...known, password: "wrong" }), host)).rejects.toMatchObject({
    message: `web01 accepted neither the password nor any of the keys for user ${user}`,
  });
});

test("a host that takes passwords, and none given: says so", async () => {
  const { host, known } = await site(byPassword);
  scratch.write("home/.ssh/id_ed25519", generateKey("of no use").privateKey);
  await expect(visit(await open([host], known), host)).rejects.toMatchObject({
    code: "AUTH_FAILED",
    hint: expect.stringContaining("it takes passwords too: -k asks for one"),
  });
});

test("a question that a password does not answer is told", async () => {
  const { host, known } = await site(byPrompt("Verification code:", true));
  await expect(visit(await open([host], { ...known, password: PASSWORD }), host)).rejects.toMatchObject({
    code: "AUTH_FAILED",
    message: 'web01 asks "Verification code:", which Volley cannot answer',
  });
});

test("a password is not sent again when the connection goes while it is checked", async () => {
  let connections = 0;
  const server = new ssh2.Server({ hostKeys: [generateKey("host").privateKey] }, (client, { ip }) => {
    connections++;
    expect(ip).toBe("127.0.0.1");
    client.on("error", () => {});
    client.on("authentication", (context) => {
      if (context.method === "password") client.end();
      else context.reject(["password"]);
    });
  });
  onTestFinished(() => void server.close());
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { readonly port: number }).port)),
  );
  const host = makeHost("locking", { address: "127.0.0.1", port });
  const transports = await open([host], { hostKeys: "off", password: PASSWORD, connectRetries: 5 });
  await expect(visit(transports, host)).rejects.toMatchObject({
    code: "CONNECT_FAILED",
    message: expect.stringMatching(/closed the connection/),
  });
  expect(connections).toBe(1);
});

test("keys of ssh_config, the first that fits", async () => {
  const { host, known, fleet } = await site();
  const wrong = scratch.write("wrong", generateKey("wrong").privateKey);
  const sshConfig = scratch.write(
    "config",
    `IdentityFile ${wrong}\nIdentityFile /nowhere\nIdentityFile ${fleet.privateKeyPath}\n`,
  );
  expect(await visit(await open([host], { ...known, sshConfig }), host)).toBe("here\n");
});

test.skipIf(!hasOpenSsh)(
  "an encrypted key of ssh_config: asked once, ahead; with nobody to ask, told",
  async () => {
    const { host, known, fleet } = await site();
    const file = scratch.path("locked");
    copyFileSync(fleet.privateKeyPath, file);
    execFileSync("ssh-keygen", ["-q", "-p", "-a", "1", "-f", file, "-P", "", "-N", PASSWORD], {
      stdio: "ignore",
    });
    const sshConfig = scratch.write("config", `IdentityFile ${file}\n`);
    const asked: string[] = [];
    const askPassphrase = async (prompt: string): Promise<string> => {
      asked.push(prompt);
      return PASSWORD;
    };
    const transports = await open([host], { ...known, sshConfig, askPassphrase });
    expect(asked).toEqual([`Passphrase for ${file}: `]);
    expect(await visit(transports, host)).toBe("here\n");
    expect(asked).toHaveLength(1);
    await expect(visit(await open([host], { ...known, sshConfig }), host)).rejects.toMatchObject({
      code: "AUTH_FAILED",
      hint: expect.stringContaining("is encrypted and there is no terminal"),
    });
  },
);

async function startAgent(...keys: readonly string[]): Promise<string> {
  const agent = spawn("ssh-agent", ["-D", "-a", scratch.path("agent")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(() => void agent.kill());
  await once(createInterface(agent.stdout), "line");
  for (const key of keys)
    execFileSync("ssh-add", ["-q", key], {
      env: { ...process.env, SSH_AUTH_SOCK: scratch.path("agent") },
      stdio: "ignore",
    });
  return scratch.path("agent");
}

/** More keys than sshd lets a client try. */
function manyKeys(): readonly string[] {
  return Array.from({ length: 8 }, (_none, index) =>
    scratch.write(`many/${index}`, generateKey(`${index}`).privateKey),
  );
}

test.skipIf(!hasOpenSsh)(
  "the agent's key that ssh_config names is offered before its many others",
  async () => {
    const { host, known, fleet } = await site();
    const socket = await startAgent(...manyKeys(), fleet.privateKeyPath);
    const published = scratch.write("chosen.pub", readFileSync(`${fleet.privateKeyPath}.pub`, "utf8"));
    const config = (more: string): string => scratch.write("config", `IdentityAgent ${socket}\n${more}`);
    await expect(visit(await open([host], { ...known, sshConfig: config("") }), host)).rejects.toMatchObject({
      code: "AUTH_FAILED",
      hint: expect.stringContaining("IdentityFile"),
    });
    for (const file of [fleet.privateKeyPath, published]) {
      const sshConfig = config(`IdentityFile ${file}\n`);
      expect(await visit(await open([host], { ...known, sshConfig }), host)).toBe("here\n");
    }
  },
);

test.skipIf(!hasOpenSsh)("IdentitiesOnly keeps the agent's other keys back", async () => {
  const { host, known, fleet } = await site();
  const sshConfig = scratch.write(
    "config",
    `IdentityAgent ${await startAgent(fleet.privateKeyPath)}\nIdentitiesOnly yes\nIdentityFile ${scratch.write("wrong", generateKey("w").privateKey)}\n`,
  );
  await expect(visit(await open([host], { ...known, sshConfig }), host)).rejects.toMatchObject({
    code: "AUTH_FAILED",
  });
});

test.skipIf(!hasOpenSsh)("an encrypted key that the agent holds needs no passphrase", async () => {
  const { host, known, fleet } = await site();
  const file = join(homedir(), "locked");
  copyFileSync(fleet.privateKeyPath, file);
  copyFileSync(`${fleet.privateKeyPath}.pub`, `${file}.pub`);
  process.env.SSH_AUTH_SOCK = await startAgent(file);
  execFileSync("ssh-keygen", ["-q", "-p", "-a", "1", "-f", file, "-P", "", "-N", PASSWORD], {
    stdio: "ignore",
  });
  const mine = { ...host, connection: { ...host.connection, privateKeyFile: file } };
  const askPassphrase = async (): Promise<never> => expect.unreachable("nothing is to be asked");
  expect(await visit(await open([mine], { ...known, askPassphrase }), mine)).toBe("here\n");
});

test("an agent that is not there is no reason to fail, and is told when nothing else fits", async () => {
  const { host, known, fleet } = await site();
  const config = `IdentityAgent ${scratch.path("no-agent")}\n`;
  const withKey = scratch.write("with", `${config}IdentityFile ${fleet.privateKeyPath}\n`);
  expect(await visit(await open([host], { ...known, sshConfig: withKey }), host)).toBe("here\n");
  await expect(
    visit(await open([host], { ...known, sshConfig: scratch.write("without", config) }), host),
  ).rejects.toMatchObject({
    code: "AUTH_FAILED",
    message: expect.stringMatching(/^web01: the SSH agent at .*no-agent failed/),
  });
});
