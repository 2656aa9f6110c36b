import { AwsV4Signer } from "aws4fetch";
import { decodeName } from "../../actions/network/web-url.ts";
import { printable, VolleyError } from "../../core/errors.ts";
import { shownUrl } from "../../core/shown-url.ts";
import { type Place, sha256 } from "./place.ts";
import { type Answer, placeOf } from "./web-place.ts";

const PARAMETERS = ["endpoint", "region"];

/**
 * Keep bundles in a bucket of S3, or of a store that is compatible with it: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
 * The login stands in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; endpoint and region may stand
 * in `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, and in `AWS_REGION` or `AWS_DEFAULT_REGION`. Fails with `USAGE`.
 */
export function s3Place(url: URL, env: NodeJS.ProcessEnv, pausesMs: readonly number[]): Place {
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined)
    throw usage(
      `"${printable(unknown, 40)}" is not a parameter of a bundle store in S3`,
      PARAMETERS.join(", "),
    );
  if (url.hostname === "") throw usage("a bundle store in S3 needs a bucket", "s3://BUCKET/PREFIX");
  const login = loginOf(url, env);
  const region = url.searchParams.get("region") || env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1";
  const directory = directoryOf(url, env, region);
  return placeOf({
    shown: `the bundle store s3://${url.hostname}${url.pathname} at ${shownUrl(new URL(directory)).split("/")[2]}`,
    env,
    pausesMs,
    request: async (method, name, body) => {
      const signer = new AwsV4Signer({
        ...login,
        method,
        url: `${directory}/${name}.age`,
        headers: { "X-Amz-Content-Sha256": sha256(body ?? Buffer.alloc(0)) },
        service: "s3",
        region,
      });
      const signed = await signer.sign();
      return { url: signed.url.href, headers: Object.fromEntries(signed.headers), body };
    },
    hintFor,
    problemIn: (body) => /<Code>([A-Za-z0-9.]+)<\/Code>/.exec(body)?.[1],
  });
}

function hintFor({ status, headers, body }: Answer, method: string): string | undefined {
  const region = headers["x-amz-bucket-region"];
  if (status === 301 && typeof region === "string")
    return `the bucket is in another region: ?region=${printable(region, 40)}`;
  if (body.includes("NoSuchBucket")) return "make the bucket first, or name another one";
  if (body.includes("RequestTimeTooSkewed"))
    return `this machine's clock says ${new Date().toISOString()}, which is not the store's time`;
  if (status === 401 || status === 403)
    return method === "HEAD"
      ? "the login must be allowed s3:GetObject, s3:PutObject and s3:ListBucket: without the last, files that are not there are forbidden ones"
      : "the login in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be allowed to get and put objects there";
  return undefined;
}

function loginOf(url: URL, env: NodeJS.ProcessEnv) {
  const names = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  if (url.username !== "" || url.password !== "")
    throw usage("the URL of a bundle store in S3 takes no login", `set ${names}`);
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = env;
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY)
    throw usage("a bundle store in S3 needs a login", `set ${names}`);
  return {
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    ...(AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}),
  };
}

/** Return the URL below which the files lie, without a slash at its end. */
function directoryOf(
  { hostname: bucket, pathname, searchParams }: URL,
  env: NodeJS.ProcessEnv,
  region: string,
): string {
  const given = searchParams.get("endpoint") || env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL;
  // Amazon's certificates are for one label before the region; other servers often have one name only.
  const isOwnHost = !given && !bucket.includes(".");
  const endpoint = given || `https://${isOwnHost ? `${bucket}.` : ""}s3.${region}.amazonaws.com`;
  if (!/^https?:\/\/[^/?#@]+\/?$/.test(endpoint) || !URL.canParse(endpoint))
    throw usage("the endpoint of a bundle store in S3 is not https://HOST or https://HOST:PORT");
  const parts = [
    ...(isOwnHost ? [] : [bucket]),
    ...pathname
      .split("/")
      .filter((part) => part !== "")
      .map(decodeName),
  ];
  return [endpoint.replace(/\/$/, ""), ...parts.map(encodeURIComponent)].join("/");
}

function usage(message: string, hint?: string): VolleyError {
  return new VolleyError("USAGE", message, hint === undefined ? {} : { hint });
}
