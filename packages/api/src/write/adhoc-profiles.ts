/**
 * adhocprofiles.v1.AdHocProfileService: files of profiles that people upload, keep for a while and look at as flame graphs.
 *
 * Requests are checked here; the node keeps the files, and a worker reads and draws them (`AdHocProfiles`). An upload has the limits of a push:
 * of its body, of a profile, and of the rate. It stores nothing that a query finds.
 */
import { invalidArgument } from "@pyromesh/base";
import type { Clock, TenantId } from "@pyromesh/base";
import { applyClientTimeout, CONTENT_TYPE_UNKNOWN, codecOf, readBody, unaryHandler } from "../bodies/connect.ts";
import type { UnaryAnswer, UnaryCall, UnaryMethod } from "../bodies/connect.ts";
import type { AdHocAnswer, AdHocProfiles } from "../ports/adhoc-profiles.ts";
import type { Handler } from "../ports/http.ts";
import type { Route } from "../ports/route.ts";
import { estimateGraphBytes } from "../print/reply-estimate.ts";
import * as a from "../proto/adhocprofiles-v1.ts";
import { JSON_PUSH_BYTES_MAX } from "../proto/json-bounds.ts";
import { checkMaxNodes } from "../read/query-limits.ts";
import type { QueryLimits } from "../read/query-limits.ts";
import { unaryRpc } from "../rpc/unary-rpc.ts";
import { readUpload } from "./adhoc-upload.ts";
import { LargeReadings } from "./large-readings.ts";
import { bodyLimitBytes, claimedSizeBytes } from "./push.ts";
import type { WriteLimits } from "./push.ts";
import type { RateLimit } from "./rate-limit.ts";

export interface AdHocOptions {
  /** Called for each request, so that reloaded limits apply. */
  readonly limitsOf: (tenant: TenantId) => QueryLimits & WriteLimits;
  /** The largest message of Get, List and Diff. */
  readonly queryBodyBytesMax: number;
}

export interface AdHocModules {
  readonly adHoc: AdHocProfiles;
  readonly rateLimit: RateLimit;
  readonly clock: Clock;
}

const SERVICE = "/adhocprofiles.v1.AdHocProfileService";

export function adHocRoutes(options: AdHocOptions, modules: AdHocModules): readonly Route[] {
  const { adHoc } = modules;
  const query = { access: "read", isQuery: true } as const;
  const rpc = <Request extends object, Response extends object>(method: Omit<UnaryMethod<Request, Response>, "path"> & { readonly name: string }): readonly Route[] => {
    const path = `${SERVICE}/${method.name}`;
    return unaryRpc(path, unaryHandler({ ...method, path }, { bodyBytesMax: options.queryBodyBytesMax }), query);
  };
  const drawing = (maxNodes: a.AdHocGetRequest["maxNodes"], tenant: TenantId, { codec }: UnaryCall): { maxNodes: number; form: "json" | "proto" } => ({ maxNodes: checkMaxNodes(maxNodes, options.limitsOf(tenant)), form: codec });
  return [
    ...unaryRpc(`${SERVICE}/Upload`, uploadHandler(options, modules), { access: "write" }),
    ...rpc({
      name: "Get",
      request: a.AD_HOC_GET_REQUEST,
      response: a.AD_HOC_GET_RESPONSE,
      estimateReplyBytes: ({ maxNodes }) => estimateGraphBytes(maxNodes),
      handle: async ({ id, profileType, maxNodes }, call) => {
        const tenant = oneTenant(call.tenants);
        return printed(await adHoc.get(tenant, { id, profileType, ...drawing(maxNodes, tenant, call) }, call.signal));
      },
    }),
    ...rpc({
      name: "List",
      request: a.AD_HOC_LIST_REQUEST,
      response: a.AD_HOC_LIST_RESPONSE,
      handle: async (_, call): Promise<UnaryAnswer<a.AdHocListResponse>> => {
        const entries = await adHoc.list(oneTenant(call.tenants), call.signal);
        return { message: { profiles: entries.map(({ id, name, uploadedAtMs }) => ({ id, name, uploadedAt: uploadedAtMs })) }, headers: {} };
      },
    }),
    ...rpc({
      name: "Diff",
      request: a.AD_HOC_DIFF_REQUEST,
      response: a.AD_HOC_DIFF_RESPONSE,
      estimateReplyBytes: ({ maxNodes }) => estimateGraphBytes(maxNodes),
      handle: async ({ leftId, rightId, profileType, maxNodes }, call) => {
        const tenant = oneTenant(call.tenants);
        return printed(await adHoc.diff(tenant, { leftId, rightId, profileType, ...drawing(maxNodes, tenant, call) }, call.signal));
      },
    }),
  ];
}

function uploadHandler({ limitsOf }: AdHocOptions, { adHoc, clock, rateLimit }: AdHocModules): Handler {
  const readings = new LargeReadings({ clock });
  return async (request) => {
    const codec = codecOf(request.headers["content-type"]);
    if (codec === undefined) return CONTENT_TYPE_UNKNOWN;
    applyClientTimeout(request);
    const tenant = oneTenant(request.tenants);
    const limits = limitsOf(tenant);
    const bodyBytesMax = bodyLimitBytes(limits);
    const body = await readBody(request, codec === "json" ? Math.min(bodyBytesMax, JSON_PUSH_BYTES_MAX) : bodyBytesMax);
    const { name, file, maxNodes: asked } = await readings.run(readUpload(body, codec), request.caller);
    if (file.length === 0) throw invalidArgument("PROFILE_EMPTY", "profile is empty: send the file in base64");
    const maxNodes = checkMaxNodes(asked, limits);
    const sizeBytes = claimedSizeBytes(file, limits.profileSizeBytesMax);
    const problem = rateLimit.take(tenant, sizeBytes, sizeBytes);
    if (problem !== undefined) throw problem;
    await request.reserveReply(estimateGraphBytes(asked));
    const answer = printed(await adHoc.upload(tenant, { name, file, maxNodes, form: codec }, request.signal));
    return { status: 200, headers: { ...answer.headers, "content-type": `application/${codec}` }, body: answer.body };
  };
}

function printed({ bytes, isSaturated }: AdHocAnswer): { readonly body: Uint8Array; readonly headers: Readonly<Record<string, string>> } {
  return { body: bytes, headers: isSaturated ? { "x-pyromesh-saturated": "true" } : {} };
}

function oneTenant(tenants: readonly TenantId[]): TenantId {
  const [tenant, another] = tenants;
  if (tenant === undefined || another !== undefined) {
    throw invalidArgument("TENANT_NOT_ONE", `an ad hoc profile is one tenant's, and this request names ${tenants.length}: send one id in X-Scope-OrgID`);
  }
  return tenant;
}
