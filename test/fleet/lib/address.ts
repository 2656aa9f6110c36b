import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** An address this process holds; the kernel frees it when the process ends, however it ends. */
export interface AddressClaim {
  readonly address: string;
  release(): void;
}

/** Listening here on an address is what claims it: no lock file to go stale. */
const claimPort = 61022;
const sshPort = 22;
const otherSshPorts = [2222, 22022] as const;
const mostAddresses = 2000;

/** Hold one loopback address, or undefined when another process (or this one) has it. */
export async function claimAddress(address: string): Promise<AddressClaim | undefined> {
  const server = await listen(address, claimPort);
  if (!server) return undefined;
  server.unref();
  return { address, release: () => server.close() };
}

/** Hold one loopback address once nobody else has it: a lock among all processes of this machine. */
export async function waitForAddress(address: string, signal?: AbortSignal): Promise<AddressClaim> {
  for (;;) {
    const claim = await claimAddress(address);
    if (claim) return claim;
    await delay(500, undefined, signal ? { signal } : {});
  }
}

/** Hold `count` loopback addresses, 127.10.0.1 first, that no other fleet has; throws when there are too few. */
export async function claimAddresses(count: number): Promise<AddressClaim[]> {
  const claims: AddressClaim[] = [];
  for (let index = 0; index < mostAddresses && claims.length < count; index++) {
    const claim = await claimAddress(`127.10.${Math.floor(index / 250)}.${(index % 250) + 1}`);
    if (claim) claims.push(claim);
  }
  if (claims.length < count) {
    for (const claim of claims) claim.release();
    throw new Error(`Only ${claims.length} of ${count} loopback addresses are free`);
  }
  return claims;
}

/** The port an sshd can have at an address: 22 unless something on this machine listens there already. */
export async function freeSshPort(address: string): Promise<number> {
  for (const port of [sshPort, ...otherSshPorts]) {
    const server = await listen(address, port);
    if (!server) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error(`No free port for an sshd at ${address}`);
}

async function listen(host: string, port: number) {
  const server = createServer();
  return new Promise<typeof server | undefined>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
