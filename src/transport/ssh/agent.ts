import ssh2, { type BaseAgent, type ParsedKey } from "ssh2";

/** The keys of SSH agents, asked for once per run. */
export interface Agents {
  /** Its keys; none when it cannot be asked, with the reason. */
  keysOf(socket: string): Promise<AgentKeys>;
}

/** What an agent holds. */
export interface AgentKeys {
  readonly keys: readonly ParsedKey[];
  readonly problem?: string;
}

const TIMEOUT_MS = 5_000;

/** Makes an {@link Agents}. */
export function createAgents(): Agents {
  const asked = new Map<string, Promise<AgentKeys>>();
  return {
    keysOf: (socket) => {
      let answer = asked.get(socket);
      if (answer === undefined) {
        answer = askAgent(socket);
        asked.set(socket, answer);
      }
      return answer;
    },
  };
}

function askAgent(socket: string): Promise<AgentKeys> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ keys: [], problem: "it does not answer" }), TIMEOUT_MS);
    ssh2.createAgent(socket).getIdentities((error, found) => {
      clearTimeout(timer);
      if (error !== undefined && error !== null) return resolve({ keys: [], problem: error.message });
      const parsed = (found ?? []).map((key) => ssh2.utils.parseKey(key as Buffer));
      resolve({ keys: parsed.flatMap((key) => (key instanceof Error ? [] : [key].flat())) });
    });
  });
}

/** An agent that offers only one of its keys. */
export function agentWithKey(socket: string, key: ParsedKey): BaseAgent {
  const agent = ssh2.createAgent(socket) as BaseAgent<ParsedKey>;
  // The agent does the rest: only what it offers is narrowed.
  agent.getIdentities = (callback) => callback(undefined, [key]);
  return agent as BaseAgent;
}

/** Whether two keys are the same pair. */
export function isSameKey(one: ParsedKey, other: ParsedKey): boolean {
  return one.getPublicSSH().equals(other.getPublicSSH());
}
