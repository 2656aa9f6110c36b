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

/** What logging in draws on. */
export interface Credentials {
  readonly keys: KeyRing;
  readonly agents: Agents;
  /** Whether a person can be asked for passphrases. */
  readonly interactive: boolean;
}

/** The attempts of one login, in their order. */
export interface LoginPlan {
  readonly handler: AuthHandlerMiddleware;
  /** Whether a password has left this machine: then trying again could lock the account. */
  readonly passwordSent: () => boolean;
  /** How many attempts the host has refused. */
  readonly refusals: () => number;
  /** Why the host let nobody in. */
  readonly refused: (cause: Error) => VolleyError;
  /** The same, where it ended the connection after too many attempts. */
  readonly tooMany: (cause: Error | undefined) => VolleyError;
  /** From now on no password is sent: the host is not who it was. */
  readonly withholdPasswords: () => void;
}

interface Step {
  readonly type: AuthenticationType;
  /** Undefined: nothing to try after all. */
  readonly make: () => Promise<AnyAuthMethod | undefined>;
  /** Methods that the host must not offer for this one to be worth trying. */
  readonly unless?: AuthenticationType;
}

/**
 * Plans a login as ssh does it: keys of the agent that are asked for, its others, keys from files, the password. There
 * is no `none` attempt: it costs a round trip and is never accepted. Fails with `AUTH_FAILED` when there is nothing to
 * try, or the one key to use cannot be read.
 */
export async function planLogin(
  endpoint: Endpoint,
  settings: SshSettings,
  credentials: Credentials,
): Promise<LoginPlan> {
  const { host, user: username } = endpoint;
  const { password, loginMethods } = settings;
  const problems: string[] = [];
  let passwordSent = false;
  let passwordWithheld = false;
  let offered: readonly string[] | undefined;
  let unanswered: string | undefined;
  const keys = loginMethods.includes("publickey")
    ? await keySteps(endpoint, settings, credentials, problems)
    : [];
  const [byPassword] = loginMethods.filter((method) => method !== "publickey");
  const stepsOf = (method: LoginMethod): readonly Step[] => {
    if (method === "publickey") return keys;
    if (password === undefined) return [];
    const prompt = answerPrompts(password, (question) => {
      unanswered = question;
    });
    // It is the same password both ways: it is not to be refused twice.
    const unless = method === byPassword ? {} : { unless: byPassword! };
    const make = async (): Promise<AnyAuthMethod | undefined> => {
      if (passwordWithheld) return undefined;
      passwordSent = true;
      return method === "password"
        ? { type: "password", username, password }
        : { type: "keyboard-interactive", username, prompt };
    };
    return [{ type: method, make, ...unless }];
  };
  const steps = loginMethods.flatMap(stepsOf);
  if (steps.length === 0) throw nothingToTry(host, settings, problems);
  let attempts = 0;
  let keysOffered = 0;
  const next = async (left: readonly AuthenticationType[] | null): Promise<AnyAuthMethod | false> => {
    if (left !== null && left !== undefined) offered = left;
    for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
      const { type, unless } = step;
      if (offered?.includes(type) === false) continue;
      if (unless !== undefined && offered?.includes(unless) === true) continue;
      try {
        const method = await step.make();
        if (method === undefined) continue;
        attempts++;
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
    refusals: () => Math.max(0, attempts - 1),
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
      if (passwordWithheld && password !== undefined) problems.push(WITHHELD);
      const tried = [
        ...(keys.length > 0 ? ["none of the keys"] : []),
        ...(passwordSent ? ["the password"] : []),
      ];
      const what = tried.length === 2 ? "neither the password nor any of the keys" : (tried[0] ?? "nothing");
      const verb = what === "the password" ? "did not accept" : "accepted";
      return new VolleyError("AUTH_FAILED", `${host} ${verb} ${what} for user ${username}`, {
        cause,
        hint: hintFor(passwordSent, password, offered, problems),
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

async function keySteps(
  { user: username, privateKeyFile }: Endpoint,
  settings: SshSettings,
  { keys, agents, interactive }: Credentials,
  problems: string[],
): Promise<readonly Step[]> {
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
  const steps: Step[] = [];
  for (const key of agent === undefined ? [] : [...named, ...others]) {
    // One at a time, so that it is known how many were refused.
    const narrowed = agentWithKey(agent!, key);
    steps.push({ type: "publickey", make: async () => ({ type: "agent", username, agent: narrowed }) });
  }
  for (const [index, file] of files.entries()) {
    const publicKey = publicKeys[index];
    if (publicKey !== undefined && named.some((key) => isSameKey(key, publicKey))) continue;
    if (publicKey !== undefined && !mayUse(publicKey, settings)) {
      problems.push(`PubkeyAcceptedAlgorithms or RequiredRSASize forbids the key ${file}`);
      continue;
    }
    // The one key to use must be usable: that is known before there is a connection.
    if (privateKeyFile !== undefined) {
      const key = await keys.load(file);
      steps.push({ type: "publickey", make: async () => ({ type: "publickey", username, key }) });
    } else if (!keys.hasPrivateKey(file) && publicKey !== undefined) {
      problems.push(`of the key ${file} only the public half is here, and no agent holds it`);
    } else if (!keys.isEncrypted(file) || asksFor(settings, interactive)) {
      steps.push({
        type: "publickey",
        make: async () => ({ type: "publickey", username, key: await keys.load(file) }),
      });
    } else if (settings.identitiesNamed)
      problems.push(`the private key ${file} is encrypted, and nobody may be asked`);
  }
  return steps;
}

/** Whether PubkeyAcceptedAlgorithms and RequiredRSASize let a key be used. */
function mayUse(key: ParsedKey, { keyAlgorithms, requiredRsaBits }: SshSettings): boolean {
  const bits = rsaBits(key.getPublicSSH());
  if (bits !== undefined && bits < requiredRsaBits) return false;
  const signsWith = bits === undefined ? [key.type] : ["rsa-sha2-512", "rsa-sha2-256"];
  return keyAlgorithms === undefined || signsWith.some((name) => keyAlgorithms.includes(name));
}

/** Of the keys ssh tries by itself, encrypted ones are asked for only when there is no agent to hold them. */
function asksFor({ identitiesNamed, agent, mayAsk }: SshSettings, interactive: boolean): boolean {
  if (!mayAsk) return false;
  return identitiesNamed || (agent === undefined && interactive);
}

function filesToTry(privateKeyFile: string | undefined, { identityFiles }: SshSettings): readonly string[] {
  return privateKeyFile === undefined ? identityFiles : [privateKeyFile];
}

/** The encrypted keys whose passphrases a login will need: to be asked for before a screen is opened. */
export async function lockedKeys(
  { privateKeyFile }: Endpoint,
  settings: SshSettings,
  { keys, agents, interactive }: Credentials,
): Promise<readonly string[]> {
  if (!interactive || !settings.loginMethods.includes("publickey")) return [];
  if (privateKeyFile === undefined && !asksFor(settings, interactive)) return [];
  const encrypted = filesToTry(privateKeyFile, settings).filter((file) => keys.isEncrypted(file));
  if (encrypted.length === 0 || settings.agent === undefined) return encrypted;
  const held = await agents.keysOf(settings.agent);
  return encrypted.filter((file) => {
    const named = keys.publicKey(file);
    return named === undefined || !held.keys.some((key) => isSameKey(key, named));
  });
}

/**
 * Answers the one question a host asks for a password by (RFC 4256), once; `onOther` is told of a question that a
 * password is no answer to.
 */
function answerPrompts(
  password: string,
  onOther: (question: string) => void,
): KeyboardInteractiveAuthMethod["prompt"] {
  let answered = false;
  return (_name, _instructions, _language, prompts, finish) => {
    const [only] = prompts;
    if (prompts.length === 1 && only?.echo !== true && !answered) {
      answered = true;
      finish([password]);
      return;
    }
    // Asked again, the password was wrong; once more would count as another failure.
    if (!answered)
      onOther((prompts.find(({ echo }) => echo === true) ?? prompts.at(-1))?.prompt.trim() ?? "");
    finish(prompts.map(() => ""));
  };
}
