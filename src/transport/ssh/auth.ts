import type {
  AnyAuthMethod,
  AuthenticationType,
  AuthHandlerMiddleware,
  KeyboardInteractiveAuthMethod,
  ParsedKey,
} from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import { tooManyFailures } from "../connect-errors.ts";
import type { Endpoint, LoginMethod, SshSettings } from "../transport.ts";
import { type Agents, agentWithKey, isSameKey, type KeyRing } from "./keys.ts";
import { rsaBits } from "./known-hosts.ts";

/** The keys and agents for logins. */
export interface Credentials {
  readonly keys: KeyRing;
  readonly agents: Agents;
  /** True when a person can answer questions for passphrases. */
  readonly interactive: boolean;
}

/** The attempts of one login. */
export interface LoginPlan {
  readonly handler: AuthHandlerMiddleware;
  /** Return whether a password was sent: a retry could then lock the account. */
  readonly passwordSent: () => boolean;
  /** Return the number of attempts that the host has refused. */
  readonly refusals: () => number;
  /** Return the error of a refused login. */
  readonly refused: (cause: Error) => VolleyError;
  /** Return the error of a host that closed the connection after too many attempts. */
  readonly tooMany: (cause: Error | undefined) => VolleyError;
  /** Send no password from now on: the host key has changed. */
  readonly withholdPasswords: () => void;
}

interface Attempt {
  readonly type: AuthenticationType;
  /** Make ssh2's method; undefined skips the attempt. */
  readonly make: () => Promise<AnyAuthMethod | undefined>;
  /** Skip the attempt where the host offers this method. */
  readonly unless?: AuthenticationType;
}

/**
 * Plan a login as ssh does: named keys of the agent, its other keys, keys from files, the password. A `none` attempt would
 * cost a round trip and is never accepted. Fails with `AUTH_FAILED` when there is nothing to try, or the only key to use
 * cannot be read.
 */
export async function planLogin(
  endpoint: Endpoint,
  settings: SshSettings,
  credentials: Credentials,
): Promise<LoginPlan> {
  const { host, user: username } = endpoint;
  const { loginMethods } = settings;
  const problems: string[] = [];
  let passwordSent = false;
  let passwordWithheld = false;
  let offered: readonly string[] | undefined;
  let unanswered: string | undefined;
  const keys = loginMethods.includes("publickey")
    ? await keyAttempts(endpoint, settings, credentials, problems)
    : [];
  const [byPassword] = loginMethods.filter((method) => method !== "publickey");
  const attemptsBy = (method: LoginMethod): readonly Attempt[] => {
    if (method === "publickey") return keys;
    if (settings.password === undefined) return [];
    const prompt = answerPrompts(settings, (question) => {
      unanswered = question;
    });
    // Both methods send the same password, which the host must not refuse twice.
    const unless = method === byPassword ? {} : { unless: byPassword! };
    const make = async (): Promise<AnyAuthMethod | undefined> => {
      if (passwordWithheld) return undefined;
      passwordSent = true;
      return method === "password"
        ? { type: "password", username, password: settings.password! }
        : { type: "keyboard-interactive", username, prompt };
    };
    return [{ type: method, make, ...unless }];
  };
  const plan = loginMethods.flatMap(attemptsBy);
  if (plan.length === 0) throw nothingToTry(host, settings, problems);
  let tried = 0;
  let keysOffered = 0;
  const next = async (left: readonly AuthenticationType[] | null): Promise<AnyAuthMethod | false> => {
    if (left !== null && left !== undefined) offered = left;
    for (let attempt = plan.shift(); attempt !== undefined; attempt = plan.shift()) {
      const { type, make, unless } = attempt;
      if (offered?.includes(type) === false) continue;
      if (unless !== undefined && offered?.includes(unless) === true) continue;
      try {
        const method = await make();
        if (method === undefined) continue;
        tried++;
        if (type === "publickey") keysOffered++;
        return method;
      } catch (thrown) {
        problems.push((thrown as Error).message);
      }
    }
    return false;
  };
  return {
    handler: (left, _partial, done) => {
      void next(left).then((method) => done(method as AnyAuthMethod));
    },
    passwordSent: () => passwordSent,
    refusals: () => Math.max(0, tried - 1),
    refused: (cause) => {
      if (unanswered !== undefined) {
        return new VolleyError(
          "AUTH_FAILED",
          `${host} asks ${JSON.stringify(unanswered)}, which Volley cannot answer`,
          {
            cause,
          },
        );
      }
      if (passwordWithheld && settings.password !== undefined) problems.push(WITHHELD);
      const refusedWays = [
        ...(keys.length > 0 ? ["none of the keys"] : []),
        ...(passwordSent ? ["the password"] : []),
      ];
      const what =
        refusedWays.length === 2 ? "neither the password nor any of the keys" : (refusedWays[0] ?? "nothing");
      const verb = what === "the password" ? "did not accept" : "accepted";
      return new VolleyError("AUTH_FAILED", `${host} ${verb} ${what} for user ${username}`, {
        cause,
        hint: hintFor(passwordSent, settings.password, offered, problems),
      });
    },
    tooMany: (cause) => {
      const were = keys.length === 1 ? "key was" : "keys were";
      return tooManyFailures(
        host,
        username,
        `${keysOffered} of ${keys.length} ${were} offered, none was accepted`,
        cause,
      );
    },
    withholdPasswords: () => {
      passwordWithheld = true;
    },
  };
}

const WITHHELD = "the password was not sent, because the host key has changed";

function nothingToTry(host: string, { loginMethods }: SshSettings, problems: readonly string[]): VolleyError {
  const [problem] = problems;
  if (!loginMethods.includes("publickey")) {
    return new VolleyError(
      "AUTH_FAILED",
      `ssh_config lets no key be used for ${host}, and there is no password`,
      {
        hint: "look at PubkeyAuthentication and PreferredAuthentications; -k asks for a password",
      },
    );
  }
  if (problem !== undefined) return new VolleyError("AUTH_FAILED", `${host}: ${problem}`);
  return new VolleyError("AUTH_FAILED", `there is no key to log in to ${host} with`, {
    hint: "start ssh-agent and ssh-add a key, or name a file with --private-key or ansible_ssh_private_key_file; -k asks for a password",
  });
}

function hintFor(
  passwordSent: boolean,
  password: string | undefined,
  offered: readonly string[] | undefined,
  problems: readonly string[],
): string {
  const [problem] = problems;
  const also = problem === undefined ? "" : `; ${problem}`;
  if (passwordSent) return `check the user and the password${also}`;
  const takes = offered?.filter((method) => method === "password" || method === "keyboard-interactive") ?? [];
  const passwords =
    takes.length > 0 && password === undefined ? "; it takes passwords too: -k asks for one" : "";
  return `check the user, and that the public key is in that user's authorized_keys${passwords}${also}`;
}

async function keyAttempts(
  { user: username, privateKeyFile }: Endpoint,
  settings: SshSettings,
  { keys, agents, interactive }: Credentials,
  problems: string[],
): Promise<readonly Attempt[]> {
  const { agent, identitiesOnly } = settings;
  const held = agent === undefined ? { keys: [] } : await agents.keysOf(agent);
  if (held.problem !== undefined) problems.push(`the SSH agent at ${agent} failed: ${held.problem}`);
  const files = filesToTry(privateKeyFile, settings);
  const publicKeys = files.map((file) => keys.publicKey(file));
  const usable = held.keys.filter((key) => mayUse(key, settings));
  const isNamed = (key: ParsedKey): boolean =>
    publicKeys.some((named) => named !== undefined && isSameKey(named, key));
  const named = usable.filter(isNamed);
  const others = identitiesOnly ? [] : usable.filter((key) => !isNamed(key));
  const attempts: Attempt[] = [];
  for (const key of agent === undefined ? [] : [...named, ...others]) {
    // Offer one key at a time, to count the refused keys.
    const narrowed = agentWithKey(agent!, key);
    attempts.push({ type: "publickey", make: async () => ({ type: "agent", username, agent: narrowed }) });
  }
  for (const [index, file] of files.entries()) {
    const publicKey = publicKeys[index];
    if (publicKey !== undefined && named.some((key) => isSameKey(key, publicKey))) continue;
    if (publicKey !== undefined && !mayUse(publicKey, settings)) {
      problems.push(`PubkeyAcceptedAlgorithms or RequiredRSASize forbids the key ${file}`);
      continue;
    }
    // Fail before connecting when the only key to use is unusable.
    if (privateKeyFile !== undefined) {
      const key = await keys.load(file);
      attempts.push({ type: "publickey", make: async () => ({ type: "publickey", username, key }) });
    } else if (!keys.hasPrivateKey(file) && publicKey !== undefined) {
      problems.push(`of the key ${file} only the public half is here, and no agent holds it`);
    } else if (!keys.isEncrypted(file) || asksPassphrases(settings, interactive)) {
      attempts.push({
        type: "publickey",
        make: async () => ({ type: "publickey", username, key: await keys.load(file) }),
      });
    } else if (settings.identitiesNamed)
      problems.push(`the private key ${file} is encrypted, and nobody may be asked`);
  }
  return attempts;
}

/** Return true when PubkeyAcceptedAlgorithms and RequiredRSASize allow a key. */
function mayUse(key: ParsedKey, { keyAlgorithms, requiredRsaBits }: SshSettings): boolean {
  const bits = rsaBits(key.getPublicSSH());
  if (bits !== undefined && bits < requiredRsaBits) return false;
  const signsWith = bits === undefined ? [key.type] : ["rsa-sha2-512", "rsa-sha2-256"];
  return keyAlgorithms === undefined || signsWith.some((name) => keyAlgorithms.includes(name));
}

/** Return whether to ask for passphrases. For keys that ssh tries by default, only without an agent, which would hold them. */
function asksPassphrases({ identitiesNamed, agent, mayAsk }: SshSettings, interactive: boolean): boolean {
  if (!mayAsk) return false;
  return identitiesNamed || (agent === undefined && interactive);
}

function filesToTry(privateKeyFile: string | undefined, { identityFiles }: SshSettings): readonly string[] {
  return privateKeyFile === undefined ? identityFiles : [privateKeyFile];
}

/** Return the encrypted keys whose passphrases a login will need, to ask for them before a screen opens. */
export async function lockedKeys(
  { privateKeyFile }: Endpoint,
  settings: SshSettings,
  { keys, agents, interactive }: Credentials,
): Promise<readonly string[]> {
  if (!interactive || !settings.loginMethods.includes("publickey")) return [];
  if (privateKeyFile === undefined && !asksPassphrases(settings, interactive)) return [];
  const encrypted = filesToTry(privateKeyFile, settings).filter((file) => keys.isEncrypted(file));
  if (encrypted.length === 0 || settings.agent === undefined) return encrypted;
  const held = await agents.keysOf(settings.agent);
  return encrypted.filter((file) => {
    const named = keys.publicKey(file);
    return named === undefined || !held.keys.some((key) => isSameKey(key, named));
  });
}

/**
 * Answer a host's single question for a password (RFC 4256), once. Calls `onOther` with a question that a password does
 * not answer.
 */
function answerPrompts(
  settings: Pick<SshSettings, "password">,
  onOther: (question: string) => void,
): KeyboardInteractiveAuthMethod["prompt"] {
  let answered = false;
  return (_name, _instructions, _language, prompts, finish) => {
    const [only] = prompts;
    if (prompts.length === 1 && only?.echo !== true && !answered) {
      answered = true;
      finish([settings.password ?? ""]);
      return;
    }
    // A second question means that the password was wrong. Empty answers do not lock the account.
    if (!answered)
      onOther((prompts.find(({ echo }) => echo === true) ?? prompts.at(-1))?.prompt.trim() ?? "");
    finish(prompts.map(() => ""));
  };
}
