import type { Client, ClientChannel } from "ssh2";

/** The parts of ssh2's client that open a channel and that its types leave out. */
interface OpeningClient {
  readonly _chanMgr: { add(opened: Opened): number };
  readonly _protocol: { session(channel: number, windowBytes: number, packetBytes: number): void };
}

type Opened = ((error: Error | null | undefined, channel: ClientChannel) => void) & { type?: string };

/** ssh2's own window and packet size of a channel. */
const WINDOW_BYTES = 2 << 20;
const PACKET_BYTES = 32 << 10;

/**
 * Open a session (RFC 4254, section 6.1) and start nothing on it, so that a later command needs no round trip for that.
 * The answer also shows that the host is there. Fails as ssh2's callbacks do.
 */
export function openSpareSession(client: Client): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const { _chanMgr: channels, _protocol: protocol } = client as unknown as OpeningClient;
    const opened: Opened = (error, channel) =>
      error === undefined || error === null ? resolve(channel) : reject(error);
    opened.type = "session";
    const id = channels.add(opened);
    if (id === -1) return reject(new Error("no channel is free"));
    protocol.session(id, WINDOW_BYTES, PACKET_BYTES);
  });
}

/** Return a client whose next command, shell or subsystem is started on an open session. */
export function onSession(client: Client, session: ClientChannel): Client {
  let given: Opened | undefined;
  const opening: OpeningClient = {
    _chanMgr: {
      add: (opened) => {
        given = opened;
        return 0;
      },
    },
    _protocol: { session: () => given?.(undefined, session) },
  };
  return Object.assign(Object.create(client), opening) as Client;
}
