// huzheng-code.js: <huzheng-code>, the citizen's half of a visit, in one module without dependencies (ES2019).
// Copyright the Huzheng authors. Apache-2.0.
//
//   <script type="module" src="/static/huzheng-code.js"></script>
//   <huzheng-code base="/wallet" account="u-8812" lang="zh-CN" large></huzheng-code>
//
// It shows the code and renews it, draws the sheet when a counter asks, signs the answer with this phone's own key, and ends
// with the result and the receipt. It speaks to YOUR server only; your server speaks to wallet_api. No OAuth key, no ID
// number and no login assertion is ever in the browser.
//
// What your server answers under `base` (JSON, your own session cookie; a failure is a problem document handed through):
//
//   POST /show        {device: JWK}  → the showing, and who: {sub, province}
//   GET  /state                      → the same; {state: "NONE"} before the first. An ETag saves traffic.
//   GET  /code                       → {svg, refresh_in, server_time}
//   GET  /sheet                      → {sheet, holdings}
//   POST /answer      {approval}     → {}            POST /withdrawal  {approval} → {}
//   POST /close       {}             → {}            GET  /receipt                → {receipt}
//   POST /twin        {}             → {spaced, expires_in}: twelve digits, when a citizen asks for them
//   POST /counter     {counter}      → {}: the code that the phone has read off the counter's screen
//   GET  /counter                    → {state}: PENDING, or TAKEN once the counter has this phone
//
// and, for view="history" (who saw my certificates):
//
//   POST /history     {device, earlier}          → {}: look; `earlier` is null, or where the last look ended
//   GET  /history                                → {done, entries, silent, earlier}
//   POST /objection   {device, entry, kind, text} → {}        GET /objection → {number}: null until it has arrived
//
// and, with the attribute `express` (agree before the scan, to one unit in one matter; once, 15 minutes at most):
//
//   POST /offer       {desk, unit, matter, type} → {}: the units of a province (the last three null), or the words of one
//   GET  /offer                      → {done, units, offer}: `units` or `offer`, as the register words it
//   POST /certificates {device}      → {}: look for the person's certificates
//   GET  /certificates               → {holdings}: null until the provinces have answered
//   PUT  /standing    {standing}     → {stands, until, unit, matter}
//   GET  /standing                   → the same; {stands: false} where nothing stands
//   DELETE /standing                 → the same: it is taken back
//
// Attributes: base, account (your opaque name for the signed-in person: each has a device key of its own), lang ("zh-CN" or
// "en"; by default the page's), large, view ("history" in place of showing), manual (wait for show()),
// express (offer to agree before the scan), stylesheet (where huzheng-code.css lies, for browsers that cannot construct
// style sheets). Property: fetcher, to replace the line (CSRF tokens, a native bridge).
// Events: huzheng-state {state, version, reason, result}, huzheng-error {code, sentence, next, requestId, offline, facts}.
//
// Time is the server's. The phone's clock is read for one purpose: to tell the citizen that it is wrong.

// Words ---------------------------------------------------------------------------------------------------------

const WORDS = {
  "zh-CN": {
    "show.title": "出示证照码",
    "show.lead": "请把二维码对准窗口的扫描口",
    "show.code": "证照二维码",
    "show.left": "{n}秒后更新",
    "show.safe": "码里没有您的姓名、号码和证照。扫码之后，还要由您同意。",
    "show.busy": "正在生成二维码……",
    "show.offline": "网络不通，正在重试。",
    "show.stale": "二维码已过期，联网后自动更新。",
    "show.close": "停止出示",
    "show.again": "重新出示",
    "show.start": "出示",
    "help.title": "扫不了？",
    "help.tips": "把屏幕调亮、擦净，平放在离扫描口十五厘米处。仍扫不了，可以改用数字，或请窗口用身份证办理。",
    "help.twin": "改用12位数字",
    "help.twin.note": "请让窗口输入这12位数字，{n}秒内有效。",
    "clock.fast": "手机时间比标准时间快{n}分钟，请在设置里打开“自动设置时间”。出示不受影响。",
    "clock.slow": "手机时间比标准时间慢{n}分钟，请在设置里打开“自动设置时间”。出示不受影响。",
    "type.marriage": "结婚证",
    "type.divorce": "离婚证",
    "status.VALID": "有效",
    "status.SUPERSEDED": "已换发新证",
    "status.INVALIDATED_BY_DIVORCE": "双方已离婚",
    "status.ANNULLED": "婚姻已撤销",
    "status.VOID": "婚姻无效",
    "status.REVOKED_ADMIN": "已宣告作废",
    "status.SUSPENDED": "有异议，暂停使用",
    "sheet.title": "有窗口请求查看您的证照",
    "sheet.lead": "请核对下面每一项。您不同意，就不会提供任何信息。",
    "sheet.left": "请在{time}内答复",
    "sheet.over": "答复时间已到",
    "sheet.who": "谁在请求",
    "sheet.window": "窗口",
    "sheet.what": "办什么事",
    "sheet.cause": "窗口填写的理由",
    "sheet.which": "哪一份证照",
    "sheet.pick": "请选择一份",
    "sheet.looking": "正在查询您的证照……",
    "sheet.none": "没有查到可用的{type}。您仍可答复；同意后窗口会看到“需人工核对”。",
    "sheet.silent": "有证照库暂时没有答复，那里的证照可能没有列出。",
    "sheet.fields": "会提供这些信息",
    "sheet.never": "不会提供",
    "sheet.why": "为什么可以",
    "sheet.clause": "依据",
    "sheet.kept": "保存多久",
    "sheet.digits": "核对数字",
    "sheet.digits.note": "请点选窗口屏幕上显示的两位数字。只有一次机会。",
    "sheet.declare": "声明",
    "sheet.agree": "同意一次",
    "sheet.decline": "不同意",
    "sheet.need.digits": "请先点选窗口屏幕上的两位数字",
    "sheet.need.certificate": "请先选择一份证照",
    "sheet.need.looking": "正在查询您的证照，请稍候",
    "sheet.need.declare": "请先勾选声明",
    "sheet.sending": "正在签名并提交……",
    "wait.title": "已提交，正在核验",
    "wait.note": "窗口很快会看到结果。请不要关闭页面。",
    "consented.title": "您已同意，正在调取",
    "consented.note": "现在还可以撤回。信息提供之后就不能撤回了。",
    "consented.withdraw": "撤回同意",
    "paused.note": "几分钟内，窗口可以凭您已给的同意再查一次。在此之前，您还可以撤回。",
    "withdrawing.title": "正在撤回",
    "withdrawing.note": "证照库确认之后才算撤回。",
    "end.DELIVERED": "已提供",
    "end.REFUSED": "没有提供",
    "end.DECLINED": "您没有同意",
    "end.TIMED_OUT": "已超过答复时间",
    "end.UNDETERMINED": "需人工核对",
    "end.WITHDRAWN": "授权已撤回",
    "end.EXPIRED": "出示已结束",
    "end.SUPERSEDED": "已在别处出示",
    "end.note.DELIVERED": "只提供了下面列出的信息，只用于这一次。",
    "end.nothing": "没有提供任何信息。",
    "end.given": "提供了什么",
    "end.to": "提供给谁",
    "end.asked": "谁请求过",
    "end.for": "用于什么",
    "end.when": "什么时间",
    "end.receipt": "下载回执",
    "end.receipt.note": "回执由本省签名，不含个人信息，可随时验证。",
    "error.title": "没有办成",
    "error.line": "网络不通，请检查网络后重试。",
    "error.server": "服务暂时不可用，请稍后再试。",
    "error.login": "请重新登录。",
    "error.retry": "重试",
    "error.key": "本机没有登录时的签名钥匙，请重新出示。",
    "error.insecure": "本机浏览器不能保存签名钥匙。请升级应用，或改用身份证办理。",
    "scan.link": "扫窗口的码",
    "scan.title": "扫窗口的码",
    "scan.lead": "窗口亮出码时，在这里扫它，不必出示您的码。扫后仍由您决定是否同意。",
    "scan.camera": "把窗口的码放进框内",
    "scan.unable": "这个浏览器不能用摄像头扫码。",
    "scan.closed": "摄像头没有打开，可能没有授权。",
    "scan.paste": "不能扫码时，从窗口页面复制码的文字，贴在这里",
    "scan.send": "送出",
    "scan.busy": "正在联系窗口……",
    "scan.taken": "窗口已收到，请稍候",
    "scan.back": "改为出示我的码",
    "scan.error.first": "另一部手机先扫了这个码。请扫窗口的下一个码。",
    "scan.error.over": "这个码已经过期。请扫窗口现在显示的码。",
    "scan.error.kind": "这不是窗口的码。",
    "province.31": "上海市",
    "province.32": "江苏省",
    "province.33": "浙江省",
    "province.34": "安徽省",
    "before.link": "提前同意，扫码不用等",
    "before.title": "提前同意",
    "before.lead": "先选好要去哪里、办什么事，看清要提供什么，再决定。只用于一次扫码。",
    "before.province": "窗口在哪个省市？",
    "before.unit": "哪个单位？",
    "before.find": "按名称查找",
    "before.none": "{province}没有可以提前同意的单位。请照常出示，扫码后再同意。",
    "before.nothing": "这里没有这个名称的单位。",
    "before.matter": "办什么事？",
    "before.busy": "正在查询登记的内容……",
    "before.read": "请看清后再决定",
    "before.read.lead": "这个单位的窗口扫您的码，请求的正是下面这些，就直接提供，不再点选数字。请求别的，仍要由您同意。",
    "before.window": "本单位的任一窗口",
    "before.lacking": "没有查到可用的{type}，不能提前同意。请照常出示。",
    "before.good": "有效多久",
    "before.good.note": "{n}分钟内扫一次有效，到时自动作废。扫码之前随时可以取消。",
    "before.back": "返回",
    "before.code": "返回我的码",
    "stands.line": "已提前同意：{what}",
    "stands.left": "还剩{time}",
    "stands.back": "取消提前同意",
    "stands.gone": "已取消。扫码之后会再问您。",
    "stands.over": "提前同意已过时。扫码之后会再问您。",
    "stands.safe": "码里没有您的姓名、号码和证照。提前同意之外的请求，扫码后仍要由您同意。",
    "sheet.other": "这次请求不在您提前同意的范围内，由您决定。",
    "past.title": "谁看过我的证照",
    "past.lead": "谁请求过您的证照，每一次都在这里；四地的应用和窗口都包括。",
    "past.busy": "正在查询四地的记录……",
    "past.none": "还没有窗口请求过您的证照。",
    "past.silent": "有省份暂时没有答复，那里的记录可能没有列出。",
    "past.again": "重新查询",
    "past.earlier": "更早的记录",
    "past.who": "谁请求",
    "past.card": "身份证，没有用手机",
    "past.how": "怎样出示",
    "past.for": "办什么事",
    "past.given": "提供了什么",
    "past.wanted": "请求什么",
    "past.cause": "窗口填写的理由",
    "past.when": "请求时间",
    "past.receipt.none": "这一次在发出请求之前就停止了，没有回执。",
    "past.objection": "您的异议{number}正在处理。",
    "past.ASKED": "进行中",
    "past.PASSED": "已提供",
    "past.REFUSED": "没有提供",
    "past.DECLINED": "您没有同意",
    "past.TIMED_OUT": "已超过答复时间",
    "past.WITHDRAWN": "授权已撤回",
    "past.UNDETERMINED": "需人工核对",
    "wrong.open": "有问题",
    "wrong.title": "哪里有问题？",
    "wrong.lead": "请选择一种情况。这一次的经过和回执会自动附上。",
    "kind.UNIT_CANNOT_RETRIEVE": "窗口调取不到我的证照",
    "kind.UNIT_CANNOT_VERIFY": "窗口核验不了我的证照",
    "kind.CITIZEN_CANNOT_OBTAIN": "我找不到自己的证照",
    "kind.CITIZEN_CANNOT_SHOW": "我出示不了自己的证照",
    "kind.DATA_WRONG": "证照或这条记录的内容不对",
    "wrong.text": "补充说明（可以不填）",
    "wrong.send": "提交异议",
    "wrong.sending": "正在提交……",
    "wrong.error.kind": "请先选择一种情况",
    "wrong.error.text": "请去掉补充说明里的特殊控制符",
  },
  en: {
    "show.title": "Show your code",
    "show.lead": "Hold the code in front of the counter's scanner",
    "show.code": "Your code",
    "show.left": "Renews in {n} s",
    "show.safe": "The code holds no name, no number and no certificate. After the scan you still have to agree.",
    "show.busy": "Making your code…",
    "show.offline": "No network. Trying again.",
    "show.stale": "The code has expired. It renews when the network is back.",
    "show.close": "Stop showing",
    "show.again": "Show again",
    "show.start": "Show",
    "help.title": "Can't scan?",
    "help.tips": "Turn the brightness up, wipe the screen, and hold it flat, about 15 cm away. If that does not help, use digits instead, or your ID card.",
    "help.twin": "Use twelve digits instead",
    "help.twin.note": "Let the counter type these twelve digits. Good for {n} s.",
    "clock.fast": "This phone's clock is {n} minutes fast. Turn on “set time automatically” in the settings. Your code still works.",
    "clock.slow": "This phone's clock is {n} minutes slow. Turn on “set time automatically” in the settings. Your code still works.",
    "type.marriage": "Marriage certificate",
    "type.divorce": "Divorce certificate",
    "status.VALID": "Valid",
    "status.SUPERSEDED": "Replaced by a reissued one",
    "status.INVALIDATED_BY_DIVORCE": "The parties are divorced",
    "status.ANNULLED": "Marriage annulled",
    "status.VOID": "Marriage void",
    "status.REVOKED_ADMIN": "Declared void",
    "status.SUSPENDED": "Suspended under an objection",
    "sheet.title": "A counter asks to see your certificate",
    "sheet.lead": "Please check every line. If you do not agree, nothing is given.",
    "sheet.left": "Please answer within {time}",
    "sheet.over": "The time to answer is over",
    "sheet.who": "Who asks",
    "sheet.window": "Window",
    "sheet.what": "For what",
    "sheet.cause": "Reason given by the counter",
    "sheet.which": "Which certificate",
    "sheet.pick": "Please choose one",
    "sheet.looking": "Looking for your certificates…",
    "sheet.none": "No {type} of yours was found. You may still answer; if you agree, the counter reads “check by hand”.",
    "sheet.silent": "A library does not answer just now; certificates there may be missing here.",
    "sheet.fields": "This will be given",
    "sheet.never": "This will not be given",
    "sheet.why": "Why it is allowed",
    "sheet.clause": "Clause",
    "sheet.kept": "Kept for how long",
    "sheet.digits": "Compare the number",
    "sheet.digits.note": "Tap the two digits that the counter's screen shows. You have one try.",
    "sheet.declare": "Declaration",
    "sheet.agree": "Agree once",
    "sheet.decline": "Decline",
    "sheet.need.digits": "Please tap the two digits on the counter's screen first",
    "sheet.need.certificate": "Please choose a certificate first",
    "sheet.need.looking": "Still looking for your certificates; please wait a moment",
    "sheet.need.declare": "Please tick the declaration first",
    "sheet.sending": "Signing and sending…",
    "wait.title": "Sent. Being checked",
    "wait.note": "The counter will see the result in a moment. Please keep this page open.",
    "consented.title": "You agreed. Being fetched",
    "consented.note": "You can still withdraw now, but not once the information has been given.",
    "consented.withdraw": "Withdraw",
    "paused.note": "The counter may ask once more within a few minutes, with the consent that you have given. Until then you can still withdraw.",
    "withdrawing.title": "Withdrawing",
    "withdrawing.note": "It is withdrawn once the library has confirmed.",
    "end.DELIVERED": "Given",
    "end.REFUSED": "Nothing was given",
    "end.DECLINED": "You did not agree",
    "end.TIMED_OUT": "The time to answer is over",
    "end.UNDETERMINED": "To be checked by hand",
    "end.WITHDRAWN": "Withdrawn",
    "end.EXPIRED": "Showing has ended",
    "end.SUPERSEDED": "Shown elsewhere",
    "end.note.DELIVERED": "Only what is listed below was given, for this one time.",
    "end.nothing": "Nothing was given.",
    "end.given": "What was given",
    "end.to": "To whom",
    "end.asked": "Who asked",
    "end.for": "For what",
    "end.when": "When",
    "end.receipt": "Download the receipt",
    "end.receipt.note": "Signed by your province, without personal data. Anybody can check it at any time.",
    "error.title": "That did not work",
    "error.line": "No network. Please check it and try again.",
    "error.server": "The service does not work just now. Please try again in a moment.",
    "error.login": "Please sign in again.",
    "error.retry": "Try again",
    "error.key": "The signing key of your sign-in is not on this phone. Please show again.",
    "error.insecure": "This browser cannot keep a signing key. Please update the app, or use your ID card at the counter.",
    "scan.link": "Scan the counter's code",
    "scan.title": "Scan the counter's code",
    "scan.lead": "When the counter shows a code, scan it here instead of showing yours. You still decide afterwards.",
    "scan.camera": "Hold the counter's code inside the frame",
    "scan.unable": "This browser cannot scan codes with the camera.",
    "scan.closed": "The camera did not open; perhaps it was not allowed.",
    "scan.paste": "If you cannot scan, copy the code's text from the counter's page and paste it here",
    "scan.send": "Send",
    "scan.busy": "Contacting the counter…",
    "scan.taken": "The counter has it; one moment",
    "scan.back": "Show my code instead",
    "scan.error.first": "Another phone was first. Please scan the counter's next code.",
    "scan.error.over": "That code is over. Please scan the one that the counter shows now.",
    "scan.error.kind": "That is not a counter's code.",
    "province.31": "Shanghai",
    "province.32": "Jiangsu",
    "province.33": "Zhejiang",
    "province.34": "Anhui",
    "before.link": "Agree beforehand, no waiting after the scan",
    "before.title": "Agree beforehand",
    "before.lead": "Choose where you are going and what for, read what will be asked, and decide. It is good for one scan only.",
    "before.province": "Where is the counter?",
    "before.unit": "Which unit?",
    "before.find": "Find by name",
    "before.none": "No unit in {province} takes an answer beforehand. Please show your code as usual and agree after the scan.",
    "before.nothing": "No unit has this name here.",
    "before.matter": "What for?",
    "before.busy": "Asking the register…",
    "before.read": "Read, then decide",
    "before.read.lead": "If a window of this unit scans your code and asks for exactly this, it is given at once: you tap no digits then. Anything else is still asked of you.",
    "before.window": "Any window of this unit",
    "before.lacking": "No {type} of yours was found, so there is nothing to agree to beforehand. Please show your code as usual.",
    "before.good": "How long it is good",
    "before.good.note": "For one scan, within {n} minutes; after that it is worth nothing. Until the scan you can take it back.",
    "before.back": "Back",
    "before.code": "Back to my code",
    "stands.line": "Agreed beforehand: {what}",
    "stands.left": "{time} left",
    "stands.back": "Take it back",
    "stands.gone": "Taken back. You will be asked after the scan.",
    "stands.over": "What you agreed to beforehand is over. You will be asked after the scan.",
    "stands.safe": "The code holds no name, no number and no certificate. Anything but what you agreed to is asked of you after the scan.",
    "sheet.other": "What you agreed to beforehand does not cover this request. You decide.",
    "past.title": "Who saw my certificates",
    "past.lead": "Everybody who asked about your certificates is here, whichever of the four apps you showed.",
    "past.busy": "Asking the four provinces…",
    "past.none": "No counter has asked about your certificates yet.",
    "past.silent": "A province does not answer just now; entries from there may be missing.",
    "past.again": "Look again",
    "past.earlier": "Earlier entries",
    "past.who": "Who asked",
    "past.card": "ID card, without a phone",
    "past.how": "Shown with",
    "past.for": "For what",
    "past.given": "What was given",
    "past.wanted": "Asked for",
    "past.cause": "Reason given by the counter",
    "past.when": "Asked at",
    "past.receipt.none": "This was stopped before a request was made, so there is no receipt.",
    "past.objection": "Your objection {number} is being dealt with.",
    "past.ASKED": "Under way",
    "past.PASSED": "Given",
    "past.REFUSED": "Nothing was given",
    "past.DECLINED": "You did not agree",
    "past.TIMED_OUT": "The time to answer was over",
    "past.WITHDRAWN": "Withdrawn",
    "past.UNDETERMINED": "To be checked by hand",
    "wrong.open": "Something is wrong",
    "wrong.title": "What is wrong?",
    "wrong.lead": "Choose one. What happened and the receipt are attached by themselves.",
    "kind.UNIT_CANNOT_RETRIEVE": "The counter could not retrieve my certificate",
    "kind.UNIT_CANNOT_VERIFY": "The counter could not check my certificate",
    "kind.CITIZEN_CANNOT_OBTAIN": "I cannot find my certificate",
    "kind.CITIZEN_CANNOT_SHOW": "I cannot show my certificate",
    "kind.DATA_WRONG": "The certificate or this entry is not right",
    "wrong.text": "In your own words (may stay empty)",
    "wrong.send": "Send the objection",
    "wrong.sending": "Sending…",
    "wrong.error.kind": "Please choose one first",
    "wrong.error.text": "Please remove control characters from your words",
  },
};

/** The words of one language: t(key, facts) fills {placeholders}; side({zh, en}) and named(row, "name") pick a side. */
function speaker(lang) {
  const english = lang === "en";
  const book = WORDS[english ? "en" : "zh-CN"];
  return {
    lang: english ? "en" : "zh-CN",
    t(key, facts) {
      let text = book[key] || "";
      for (const name of Object.keys(facts || {})) text = text.split("{" + name + "}").join(String(facts[name]));
      return text;
    },
    side: (both) => (both ? (english ? both.en : both.zh) : ""),
    named: (row, name) => row[name + (english ? "_en" : "_zh")] || "",
    when(rfc3339) {
      const style = { year: "numeric", month: english ? "short" : "long", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
      // The time of the four provinces, wherever the phone thinks it is.
      return new Intl.DateTimeFormat(english ? "en" : "zh-CN", Object.assign({ timeZone: "Asia/Shanghai" }, style)).format(new Date(rfc3339));
    },
  };
}

// The device ----------------------------------------------------------------------------------------------------

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
const APPROVAL_LIFE_S = 120;
const STANDING_LIFE_S = 900;
const DATABASE = "huzheng-code";
const STORE = "devices";

/** Whether this browser can keep a key: WebCrypto wants https or a loopback address. */
export function possible() {
  return Boolean(window.isSecureContext && window.crypto && window.crypto.subtle && window.indexedDB);
}

/** The device key of an account, made at the first call: {privateKey, jwk, kid}. It is not extractable. */
export async function deviceFor(account) {
  const known = await deviceOf(account);
  if (known) return known;
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign"]);
  const whole = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const jwk = { crv: whole.crv, kty: whole.kty, x: whole.x, y: whole.y };
  const device = { privateKey: pair.privateKey, jwk, kid: await thumbprint(jwk) };
  await inStore("readwrite", (store) => store.put(device, account));
  return device;
}

/** The device key of an account, or undefined where this browser has none. */
export function deviceOf(account) {
  return inStore("readonly", (store) => store.get(account));
}

/** Forget the device key of an account, for instance when it signs out for good. */
export function forgetDevice(account) {
  return inStore("readwrite", (store) => store.delete(account));
}

/**
 * A signed answer, approval+jwt. `who` is {sub, province}; `answer` is {req, decision, certificate, digits, declarations};
 * `nowMs` is the server's time in milliseconds since 1970.
 */
export function signApproval(device, who, answer, nowMs) {
  const { req, decision, certificate, digits, declarations } = answer;
  return sign(device, "approval+jwt", who, { req, decision, certificate, digits, declarations }, APPROVAL_LIFE_S, nowMs);
}

/** The same for an answer before the scan, standing+jwt: {showing, unit, matter, certificate, declarations, offer}. */
export function signStanding(device, who, answer, nowMs) {
  const { showing, unit, matter, certificate, declarations, offer } = answer;
  return sign(device, "standing+jwt", who, { showing, unit, matter, certificate, declarations, offer }, STANDING_LIFE_S, nowMs);
}

/** The digest of an offer, over its canonical JSON (members sorted, no blanks, UTF-8): what was read is what is signed. */
export async function offerDigest(offer) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(canonical(offer)))));
}

function canonical(value) {
  if (Array.isArray(value)) return "[" + value.map(canonical).join(",") + "]";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return "{" + members.map((name) => JSON.stringify(name) + ":" + canonical(value[name])).join(",") + "}";
}

async function sign(device, typ, who, claims, life, nowMs) {
  const issued = Math.floor(nowMs / 1000);
  const header = { alg: "ES256", kid: device.kid, typ };
  const jti = base64url(crypto.getRandomValues(new Uint8Array(16)));
  const payload = Object.assign({ iss: who.sub, aud: who.province, iat: issued, exp: issued + life, jti }, claims);
  const text = base64url(bytes(JSON.stringify(header))) + "." + base64url(bytes(JSON.stringify(payload)));
  // WebCrypto gives r and s as two numbers of 32 bytes, which is what JWS wants (RFC 7518 §3.4).
  const signature = await crypto.subtle.sign(SIGNING, device.privateKey, bytes(text));
  return text + "." + base64url(new Uint8Array(signature));
}

/** RFC 7638: SHA-256 over the required members in the order of their names. */
async function thumbprint(jwk) {
  const text = JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y });
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(text))));
}

function bytes(text) {
  return new TextEncoder().encode(text);
}

function base64url(raw) {
  return btoa(String.fromCharCode(...raw)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function inStore(mode, act) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        database.close();
        resolve(request.result);
      };
      transaction.onabort = () => {
        database.close();
        reject(transaction.error);
      };
    };
  });
}

// The line ------------------------------------------------------------------------------------------------------

const PATIENCE_MS = 8000;

/** The usual fetcher: `base` + path, with the page's own cookies. `headers` are added to each request (a CSRF token). */
export function httpFetcher(base, headers) {
  const root = base.replace(/\/+$/, "");
  return (path, init) =>
    fetch(root + path, Object.assign({ credentials: "same-origin", cache: "no-store" }, init, { headers: Object.assign({}, headers, init.headers) }));
}

const CODES = { "error.insecure": "NO_KEYSTORE", "error.key": "NO_KEY" };

/** Something did not work. `problem` is what the server said, or null where nobody answered. */
class Failure extends Error {
  constructor(problem, status, key) {
    super(problem ? problem.code : CODES[key] || (status ? "HTTP_" + status : "NO_ANSWER"));
    this.problem = problem;
    this.status = status || 0;
    this.offline = !problem && !key && !status;
    // Our own sentence, where the server has none.
    this.key = key || (status === 401 ? "error.login" : status ? "error.server" : "error.line");
  }

  words(say) {
    return this.problem ? say.side(this.problem.sentences) : say.t(this.key);
  }

  next(say) {
    return this.problem ? say.side(this.problem.next) : "";
  }
}

/** Asks through a fetcher. Hears the server's time wherever an answer tells it. */
class Line {
  constructor() {
    this.ahead = -Infinity; // server's milliseconds minus performance.now()
  }

  /** {status, body, tag}; 304 has no body. Throws Failure. */
  async ask(fetcher, method, path, body, tag) {
    const headers = { Accept: "application/json, application/problem+json" };
    if (tag) headers["If-None-Match"] = tag;
    if (method !== "GET") headers["Content-Type"] = "application/json";
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), PATIENCE_MS);
    let answer = null;
    let read = null;
    try {
      const sent = method === "GET" ? undefined : JSON.stringify(body || {});
      answer = await fetcher(path, { method, headers, body: sent, signal: limit.signal });
      if (answer.status !== 304) read = await answer.json();
    } catch (problem) {
      throw new Failure(null, answer && answer.status >= 400 ? answer.status : 0); // a page instead of a problem, or silence
    } finally {
      clearTimeout(timer);
    }
    if (answer.status >= 400) throw new Failure(read && read.sentences ? read : null, answer.status);
    if (read) this.hear(read.server_time);
    return { status: answer.status, body: read, tag: answer.headers.get("ETag") };
  }

  // The time is cut to whole seconds and comes late, so every reading is too early and the latest one is the best.
  hear(time) {
    const instant = time ? Date.parse(time) : NaN;
    if (!Number.isNaN(instant)) this.ahead = Math.max(this.ahead, instant - performance.now());
  }

  /** The server's time in milliseconds since 1970; the phone's own before anything was heard. */
  now() {
    return this.ahead === -Infinity ? Date.now() : this.ahead + performance.now();
  }

  /** Minutes by which the phone is fast (negative: slow); 0 below one minute. */
  offBy() {
    const off = Date.now() - this.now();
    return Math.abs(off) < 60000 ? 0 : Math.round(off / 60000);
  }
}

// Drawing -------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = { svg: ["viewBox"], g: ["transform"], rect: ["x", "y", "width", "height", "fill"], path: ["d", "fill", "transform", "stroke", "stroke-width"] };

/** An element. Whatever comes from a server becomes text or an attribute, never markup. Functions are listeners. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const name of Object.keys(attributes || {})) {
    const value = attributes[name];
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  add(node, children);
  return node;
}

function add(node, children) {
  for (const each of children) if (each !== null && each !== undefined && each !== "") node.append(each);
}

function fill(node, ...children) {
  while (node.firstChild) node.removeChild(node.firstChild);
  add(node, children);
}

/** An SVG text as elements, with the shapes of a QR code and nothing else: no script, style, link or image gets in. */
function picture(text) {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  return root.nodeName === "svg" ? copied(root) : null;
}

function copied(node) {
  const made = document.createElementNS(SVG, node.nodeName);
  for (const name of DRAWN[node.nodeName]) {
    if (node.hasAttribute(name)) made.setAttribute(name, node.getAttribute(name));
  }
  for (const each of Array.from(node.children)) if (DRAWN[each.nodeName]) made.append(copied(each));
  return made;
}

const ICONS = {
  pass: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm-1.4 14.2-4.2-4.2 1.6-1.6 2.6 2.6 5.6-5.6 1.6 1.6z",
  refuse: "M8 2h8l6 6v8l-6 6H8l-6-6V8zm-1 8.8v2.4h10v-2.4z",
  check: "M12 2.5 23 21.5H1zm-1.2 7v5h2.4v-5zm0 6.6v2.4h2.4v-2.4z",
  wait: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm-1.1 4.5h2.2v5l3.6 2.2-1.1 1.8-4.7-2.9z",
  yes: "M9.4 18.4 3.6 12.6l1.8-1.8 4 4 9.2-9.2 1.8 1.8z",
  no: "M6.2 4.6 12 10.4l5.8-5.8 1.6 1.6L13.6 12l5.8 5.8-1.6 1.6L12 13.6l-5.8 5.8-1.6-1.6L10.4 12 4.6 6.2z",
};

/** A shape beside a word: colour is never the only sign. */
function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

function button(words, click, more) {
  return el("button", Object.assign({ type: "button", click }, more), words);
}

// The sheet -----------------------------------------------------------------------------------------------------

const WAIT_FOR_HOLDINGS_MS = 8000; // after that the citizen may answer without a certificate

/** What the citizen has chosen so far. It outlives a change of language or size. */
function newChoice() {
  return { digits: null, certificate: null, touched: false, declared: new Set(), since: performance.now(), error: null, busy: false };
}

/** m:ss */
function clockOf(seconds) {
  const rest = String(Math.max(0, seconds % 60));
  return Math.max(0, Math.floor(seconds / 60)) + ":" + (rest.length < 2 ? "0" + rest : rest);
}

/** The certificates that this request may be answered with: of its kind, valid ones first. */
function offered(data) {
  const fitting = data.holdings ? data.holdings.certificates.filter((each) => each.type === data.sheet.type) : [];
  return fitting.filter((each) => each.status === "VALID").concat(fitting.filter((each) => each.status !== "VALID"));
}

/** What an agreement still lacks: "digits", "certificate", "looking" or "declare"; null for nothing. */
function lacking(data, choice) {
  if (!data.holdings && performance.now() - choice.since < WAIT_FOR_HOLDINGS_MS) return "looking";
  if (offered(data).length && !choice.certificate) return "certificate";
  if ((data.sheet.digits || []).length && !choice.digits) return "digits";
  return (data.sheet.declarations || []).some((each) => !choice.declared.has(each.slug)) ? "declare" : null;
}

/** The sheet in the order of the law: who, what, which, fields, why, how long; then the digits, the declaration, the answer. */
function sheetView(data, choice, say, act) {
  const sheet = data.sheet;
  return [
    heading(say.t("sheet.title")),
    el("p", { class: "soft" }, say.t("sheet.lead")),
    act.other ? el("p", { class: "note" }, say.t("sheet.other")) : null,
    el("p", { class: "left figures" }),
    part(
      say.t("sheet.who"),
      el("p", { class: "strong" }, say.named(sheet.unit, "name")),
      el("p", {}, say.named(sheet, "place")),
      el("p", { class: "window" }, windowOf(sheet, say))
    ),
    part(say.t("sheet.what"), el("p", { class: "strong" }, say.named(sheet.matter, "name")), cause(sheet, say)),
    which(data, choice, say),
    ...given(sheet, say),
    digits(sheet, choice, say),
    declarations(sheet, choice, say),
    ...answers(choice, say, act),
  ];
}

/** What is given and what is not, why it may be, and how long it is kept: the register's words. */
function given(sheet, say) {
  return [
    part(say.t("sheet.fields"), list(sheet.fields.map((each) => say.named(each, "label")), "yes")),
    sheet.not_given.length ? part(say.t("sheet.never"), list(sheet.not_given.map(say.side), "no")) : null,
    part(say.t("sheet.why"), el("p", {}, say.named(sheet, "basis")), el("p", { class: "soft" }, say.t("sheet.clause") + " " + sheet.clause)),
    part(say.t("sheet.kept"), el("p", {}, say.named(sheet, "retention"))),
  ];
}

/** Two answers of one size: agreeing is not made easier than declining. */
function answers(choice, say, act) {
  return [
    el("p", { class: "error", role: "alert" }, choice.busy ? say.t("sheet.sending") : choice.error ? choice.error(say) : ""),
    el(
      "div",
      { class: "two" },
      button(say.t("sheet.decline"), act.decline, { class: "quiet", "data-key": "decline", disabled: choice.busy }),
      button(say.t("sheet.agree"), act.agree, { "data-key": "agree", disabled: choice.busy })
    ),
  ];
}

function heading(words) {
  return el("h2", { tabindex: "-1", class: "title", "data-key": "title" }, words);
}

function part(title, ...children) {
  return el("section", { class: "part" }, el("h3", {}, title), ...children);
}

function cause(sheet, say) {
  return sheet.cause ? el("p", { class: "cause" }, el("span", { class: "soft" }, say.t("sheet.cause")), el("q", {}, sheet.cause)) : null;
}

function windowOf(sheet, say) {
  return sheet.window_name || say.t("sheet.window") + " " + sheet.window;
}

function list(items, shape) {
  return el("ul", { class: "ticks " + shape }, ...items.map((each) => el("li", {}, icon(shape), el("span", {}, each))));
}

function which(data, choice, say, none) {
  const kind = say.t("type." + data.sheet.type);
  const box = el("fieldset", { class: "part", "data-part": "certificate" }, el("legend", {}, say.t("sheet.which")), el("p", { class: "strong" }, kind));
  if (!data.holdings) {
    add(box, [el("p", { class: "soft" }, say.t("sheet.looking"))]);
    return box;
  }
  const found = offered(data);
  if (found.length === 1 && !choice.touched) choice.certificate = found[0].certificate;
  if (found.length > 1) add(box, [el("p", { class: "soft" }, say.t("sheet.pick"))]);
  if (!found.length) add(box, [el("p", {}, say.t(none || "sheet.none", { type: kind }))]);
  for (const each of found) {
    const input = radio("certificate", each.certificate, choice.certificate, () => {
      choice.certificate = each.certificate;
      choice.touched = true;
    });
    const status = el("span", { class: each.status === "VALID" ? "good" : "bad" }, icon(each.status === "VALID" ? "pass" : "check"), say.t("status." + each.status) || each.status);
    add(box, [el("label", { class: "choice" }, input, el("span", {}, el("b", { class: "figures" }, each.number), el("span", {}, each.authority), status))]);
  }
  if (data.holdings.silent.length) add(box, [el("p", { class: "soft" }, say.t("sheet.silent"))]);
  return box;
}

function digits(sheet, choice, say) {
  if (!(sheet.digits || []).length) return null;
  const three = sheet.digits.map((each) =>
    el("label", { class: "digit" }, radio("digits", each, choice.digits, () => (choice.digits = each)), el("span", { class: "figures" }, each))
  );
  return el("fieldset", { class: "part", "data-part": "digits" }, el("legend", {}, say.t("sheet.digits")), el("p", { class: "soft" }, say.t("sheet.digits.note")), el("div", { class: "digits" }, ...three));
}

function declarations(sheet, choice, say) {
  if (!(sheet.declarations || []).length) return null;
  const boxes = sheet.declarations.map((each) => {
    const input = el("input", { type: "checkbox", name: "declaration", value: each.slug, "data-key": "declare-" + each.slug });
    input.checked = choice.declared.has(each.slug); // unticked until the citizen ticks it
    input.addEventListener("change", () => (input.checked ? choice.declared.add(each.slug) : choice.declared.delete(each.slug)));
    return el("label", { class: "choice" }, input, el("span", {}, say.named(each, "text")));
  });
  return el("fieldset", { class: "part", "data-part": "declare" }, el("legend", {}, say.t("sheet.declare")), ...boxes);
}

function radio(name, value, chosen, change) {
  const input = el("input", { type: "radio", name, value, change, "data-key": name + "-" + value });
  input.checked = value === chosen;
  return input;
}

// Waiting and the end -------------------------------------------------------------------------------------------

const SHAPES = { DELIVERED: "pass", UNDETERMINED: "check", REFUSED: "refuse" };

function waitingView(say, key, more) {
  return [el("section", { class: "outcome" }, icon("wait"), heading(say.t(key + ".title")), el("p", {}, say.t(key + ".note"))), more];
}

function endView(state, sheet, say, act) {
  const gave = state.state === "DELIVERED";
  const shape = SHAPES[state.state] || "wait"; // what the citizen chose is no alarm
  const note = gave ? say.t("end.note.DELIVERED") : say.side(state.sentence) || say.t("end.nothing");
  const receipt = state.result && state.result.receipt;
  return [
    el("section", { class: "outcome " + shape }, icon(shape), heading(say.t("end." + state.state) || state.state), el("p", {}, note), gave || !state.next ? null : el("p", { class: "soft" }, say.side(state.next))),
    act.paused,
    sheet ? facts(state, sheet, gave, say) : null,
    receipt ? button(say.t("end.receipt"), act.receipt, { class: "quiet", "data-key": "receipt" }) : null,
    receipt ? el("p", { class: "soft" }, say.t("end.receipt.note")) : null,
    button(say.t("show.again"), act.show, { "data-key": "again" }),
  ];
}

function facts(state, sheet, gave, say) {
  const given = state.result ? state.result.given : [];
  const labels = sheet.fields.filter((each) => given.includes(each.name)).map((each) => say.named(each, "label"));
  const row = (term, ...what) => el("div", {}, el("dt", {}, term), el("dd", {}, ...what));
  return el(
    "dl",
    { class: "part facts" },
    row(say.t("end.given"), labels.length ? list(labels, "yes") : say.t("end.nothing")),
    row(say.t(gave ? "end.to" : "end.asked"), say.named(sheet.unit, "name"), el("br"), windowOf(sheet, say)),
    row(say.t("end.for"), say.named(sheet.matter, "name")),
    row(say.t("end.when"), el("span", { class: "figures" }, say.when(state.result && state.result.ended_at ? state.result.ended_at : state.changed_at)))
  );
}

// The counter's code --------------------------------------------------------------------------------------------

const COUNTER_PREFIX = "YRDC:";
const AGAIN_MS = 700; // between two looks at what becomes of something
const FRAME_MS = 250;
const MOST_FAILURES = 12; // frames in a row that the reader could not read at all: three seconds
// What these mean for a code that the citizen has shown is something else.
const SCAN_WORDS = { CODE_ALREADY_USED: "scan.error.first", CODE_EXPIRED: "scan.error.over", CODE_MALFORMED: "scan.error.kind" };

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

/** A reader of QR codes, or null: some browsers have the class, but not this format, or nothing behind the class. */
async function codeReader() {
  try {
    const Reader = window.BarcodeDetector;
    if (Reader.getSupportedFormats && !(await Reader.getSupportedFormats()).includes("qr_code")) return null;
    return new Reader({ formats: ["qr_code"] });
  } catch (problem) {
    return null;
  }
}

/** The phone reads the counter's code: by camera where the browser has a reader (BarcodeDetector), else as a text. */
class Scan {
  /** `ask(method, path, body)` asks your server, `changed()` draws again, `taken()`: the counter has this phone, `back()`. */
  constructor(act) {
    this._act = act;
    this._lack = "BarcodeDetector" in window && navigator.mediaDevices ? "" : "scan.unable"; // why there is no camera here
    this._running = true;
    this._reader = null; // the reader of codes, once it was asked for
    this._opening = null; // the camera, the same
    this._text = "";
    this._told = ""; // "scan.busy", then "scan.taken", while a code is on its way
    this._error = null; // (say) → words
  }

  stop() {
    this._running = false;
    this._release();
  }

  view(say) {
    const field = el("textarea", { id: "counter", rows: "3", spellcheck: "false", autocomplete: "off", "data-key": "counter", disabled: this._told !== "" });
    field.value = this._text;
    field.addEventListener("input", () => (this._text = field.value));
    const submit = (event) => {
      event.preventDefault();
      this._send(field.value);
    };
    return [
      heading(say.t("scan.title")),
      el("p", { class: "soft" }, say.t("scan.lead")),
      this._lack ? el("p", { class: "note", role: "status" }, say.t(this._lack)) : this._finder(say),
      el(
        "form",
        { class: "part", submit },
        el("label", { for: "counter" }, say.t("scan.paste")),
        field,
        el("p", { class: "error", role: "alert" }, this._error ? this._error(say) : ""),
        el("button", { "data-key": "send", disabled: this._told !== "" }, say.t(this._told || "scan.send"))
      ),
      button(say.t("scan.back"), this._act.back, { class: "quiet", "data-key": "back" }),
    ];
  }

  _finder(say) {
    const video = el("video", { playsinline: true, muted: true, "aria-label": say.t("scan.camera") });
    video.muted = true; // the attribute alone is not heard on an element that a script made
    setTimeout(() => this._watch(video));
    return el("div", { class: "frame finder" }, video);
  }

  async _watch(video) {
    if (!this._reader) this._reader = codeReader();
    const reader = await this._reader; // before the camera: none is opened for nothing
    if (!reader) {
      this._without("scan.unable", video);
      return;
    }
    try {
      if (!this._opening) this._opening = navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      video.srcObject = await this._opening;
      if (!this._running) this._release();
      await video.play();
    } catch (problem) {
      this._without("scan.closed", video);
      return;
    }
    let failures = 0;
    while (this._running && video.isConnected && failures < MOST_FAILURES) {
      try {
        const found = this._told ? [] : await reader.detect(video);
        failures = 0;
        const mine = found.find((each) => each.rawValue.startsWith(COUNTER_PREFIX));
        if (mine) this._send(mine.rawValue);
      } catch (problem) {
        failures += 1;
      }
      await pause(FRAME_MS);
    }
    if (failures === MOST_FAILURES) this._without("scan.unable", video);
  }

  /** Go on without the camera, and say why. */
  _without(lack, video) {
    if (!this._running || !video.isConnected) return; // another view has come meanwhile
    this._release(); // it may be open, and only the picture failed
    this._lack = lack;
    this._act.changed();
  }

  _release() {
    if (this._opening) this._opening.then((stream) => stream.getTracks().forEach((each) => each.stop())).catch(() => null);
  }

  async _send(found) {
    if (this._told) return;
    this._text = found.trim();
    if (!this._text.startsWith(COUNTER_PREFIX)) {
      this._refuse((say) => say.t("scan.error.kind"));
      return;
    }
    this._told = "scan.busy";
    this._error = null;
    this._act.changed();
    try {
      await this._act.ask("POST", "/counter", { counter: this._text });
      // Once the counter has it, the sheet ends this view; where there is none, the counter's reason comes from here.
      while (this._running) {
        const has = await this._taken();
        if (has && this._running && this._told === "scan.busy") {
          this._told = "scan.taken";
          this._act.changed();
          this._act.taken();
        }
        await pause(AGAIN_MS);
      }
    } catch (problem) {
      this._told = "";
      this._text = "";
      const key = problem.problem ? SCAN_WORDS[problem.problem.code] : null;
      this._refuse((say) => (key ? say.t(key) : (problem.words(say) + " " + problem.next(say)).trim()));
    }
  }

  async _taken() {
    try {
      return (await this._act.ask("GET", "/counter")).body.state === "TAKEN";
    } catch (problem) {
      if (problem.offline) return false; // what was sent stays sent
      throw problem;
    }
  }

  _refuse(words) {
    this._error = words;
    if (this._running) this._act.changed();
  }
}

// Agreeing beforehand -------------------------------------------------------------------------------------------

const PROVINCES = ["31", "32", "33", "34"];
const MANY_UNITS = 8; // from then on they can be searched by name

/**
 * Agree before the scan: province, unit, matter, then the register's words about it, the choice and the answer.
 *
 * `ask(method, path, body)` asks your server, `device()` gives the key's public half, `changed()` draws again, `running()` says
 * whether anybody still looks, `good()` for how many minutes an answer is good, `agree(answer)` signs and hands in, `back()`.
 */
class Before {
  constructor(act) {
    this._act = act;
    this._steps = ["province"]; // where "back" leads; the last one stands on the page
    this._desk = "";
    this._units = null;
    this._unit = null;
    this._words = null; // the offer
    this._holdings = null;
    this._choice = newChoice();
    this._failure = null; // {problem, again}
    this._wanted = "";
    this._asked = 0; // answers to earlier questions are not waited for any more
  }

  get step() {
    return this._steps[this._steps.length - 1];
  }

  // Asking the register

  async _question(unit, matter, type) {
    this._asked += 1;
    const mine = this._asked;
    await this._act.ask("POST", "/offer", { desk: this._desk, unit, matter, type });
    while (mine === this._asked && this._act.running()) {
      const got = (await this._act.ask("GET", "/offer")).body;
      if (got.done) return mine === this._asked ? got : null;
      await pause(AGAIN_MS);
    }
    return null;
  }

  /** Do something that may fail; what fails stands in the view with a button that does it again. */
  async _attempt(work) {
    this._failure = null;
    this._act.changed();
    const mine = this._steps.length;
    try {
      await work();
    } catch (problem) {
      if (mine === this._steps.length) this._failure = { problem, again: () => this._attempt(work) };
    }
    this._act.changed();
  }

  _chooseProvince(code) {
    Object.assign(this, { _desk: code, _units: null, _wanted: "" });
    this._steps.push("unit");
    this._attempt(async () => {
      const got = await this._question(null, null, null);
      if (got) this._units = got.units;
    });
  }

  _chooseUnit(unit) {
    this._unit = unit;
    if (unit.matters.length === 1) this._chooseMatter(unit.matters[0]);
    else {
      this._steps.push("matter");
      this._act.changed();
    }
  }

  _chooseMatter(matter) {
    Object.assign(this, { _words: null, _choice: newChoice() });
    this._steps.push("offer");
    this._attempt(async () => {
      const found = this._lookUp();
      found.catch(() => null); // it is waited for below; meanwhile its failure is nobody's
      const got = await this._question(this._unit.unit, matter.slug, matter.type);
      if (!got) return;
      this._words = got.offer;
      this._act.changed();
      this._holdings = await found;
    });
  }

  async _lookUp() {
    if (this._holdings) return this._holdings;
    await this._act.ask("POST", "/certificates", { device: await this._act.device() });
    while (this._act.running()) {
      const got = (await this._act.ask("GET", "/certificates")).body;
      if (got.holdings) return got.holdings;
      await pause(AGAIN_MS);
    }
    return null;
  }

  back() {
    if (this._choice.busy) return; // signing is not interrupted
    this._asked += 1;
    this._failure = null;
    this._steps.pop();
    if (this._steps.length) this._act.changed();
    else this._act.back();
  }

  async _agree() {
    const lack = this._holdings ? lacking(this._data(), this._choice) : "looking";
    if (lack) {
      this._refuse((say) => say.t("sheet.need." + lack), lack === "looking" ? "certificate" : lack);
      return;
    }
    Object.assign(this._choice, { busy: true, error: null });
    this._act.changed();
    const words = this._words;
    try {
      await this._act.agree({
        unit: words.unit.uscc,
        matter: words.matter.slug,
        certificate: this._choice.certificate,
        declarations: words.declarations.map((each) => each.slug),
        offer: await offerDigest(words), // of the very words that stood in this view
      });
    } catch (problem) {
      const failure = problem instanceof Failure ? problem : new Failure(null, 0, "error.key");
      this._refuse((say) => (failure.words(say) + " " + failure.next(say)).trim(), null);
    }
  }

  _refuse(words, anchor) {
    Object.assign(this._choice, { busy: false, error: words });
    this._act.changed(anchor);
  }

  // Drawing

  view(say) {
    const drawn = this._drawn(say);
    if (this.step === "offer" && this._possible()) return drawn;
    const word = say.t(this.step === "province" ? "before.code" : "before.back");
    return drawn.concat(button(word, () => this.back(), { class: "quiet", "data-key": "back" }));
  }

  _drawn(say) {
    if (this.step === "province") return this._provinceStep(say);
    if (this.step === "unit") return this._unitStep(say);
    return this.step === "matter" ? this._matterStep(say) : this._offerStep(say);
  }

  _provinceStep(say) {
    const rows = PROVINCES.map((code) => option(say.t("province." + code), "", "province-" + code, () => this._chooseProvince(code)));
    return [heading(say.t("before.title")), el("p", { class: "soft" }, say.t("before.lead")), el("h3", {}, say.t("before.province")), options(rows)];
  }

  _unitStep(say) {
    const province = say.t("province." + this._desk);
    const none = say.t("before.none", { province });
    const rest = this._units === null || this._failure ? this._waiting(say) : this._units.length ? this._unitList(say) : [el("p", { class: "part" }, none)];
    return [heading(say.t("before.unit")), el("p", { class: "soft" }, province), ...rest];
  }

  _unitList(say) {
    const box = el("div", { "aria-live": "polite" });
    const show = () => {
      const rows = this._units.filter((each) => (each.name.zh + "\n" + each.name.en).toLowerCase().includes(this._wanted.toLowerCase()));
      const found = rows.map((each) => option(say.side(each.name), say.side(each.place), "unit-" + each.unit, () => this._chooseUnit(each)));
      fill(box, rows.length ? options(found) : el("p", { class: "part" }, say.t("before.nothing")));
    };
    show();
    if (this._units.length <= MANY_UNITS) return [box];
    const field = el("input", { type: "search", id: "find", autocomplete: "off", spellcheck: "false", "data-key": "find" });
    field.value = this._wanted;
    field.addEventListener("input", () => {
      this._wanted = field.value.trim();
      show();
    });
    return [el("label", { for: "find" }, say.t("before.find")), field, box];
  }

  _matterStep(say) {
    const rows = this._unit.matters.map((each) =>
      option(say.side(each.name), say.t("type." + each.type), "matter-" + each.slug + "-" + each.type, () => this._chooseMatter(each))
    );
    return [heading(say.t("before.matter")), el("p", { class: "soft" }, say.side(this._unit.name)), options(rows)];
  }

  _offerStep(say) {
    const words = this._words;
    if (!words || this._failure) return [heading(say.t("before.read")), ...this._waiting(say)];
    return [
      heading(say.t("before.read")),
      el("p", { class: "soft" }, say.t("before.read.lead")),
      part(
        say.t("sheet.who"),
        el("p", { class: "strong" }, say.named(words.unit, "name")),
        el("p", {}, say.named(words, "place")),
        el("p", {}, say.t("before.window"))
      ),
      part(say.t("sheet.what"), el("p", { class: "strong" }, say.named(words.matter, "name"))),
      which(this._data(), this._choice, say, "before.lacking"),
      ...given(words, say),
      part(say.t("before.good"), el("p", {}, say.t("before.good.note", { n: this._act.good() }))),
      ...(this._possible() ? [declarations(words, this._choice, say), ...answers(this._choice, say, { agree: () => this._agree(), decline: this._act.back })] : []),
    ];
  }

  _data() {
    return { sheet: this._words, holdings: this._holdings };
  }

  /** Whether there is something to decide: without a certificate there is nothing to agree to. */
  _possible() {
    return Boolean(this._words && !this._failure && (!this._holdings || offered(this._data()).length));
  }

  _waiting(say) {
    if (!this._failure) return [el("p", { class: "part", role: "status" }, say.t("before.busy"))];
    const problem = this._failure.problem;
    return [
      el("p", { class: "error", role: "alert" }, (problem.words(say) + " " + problem.next(say)).trim()),
      button(say.t("error.retry"), this._failure.again, { "data-key": "retry" }),
    ];
  }
}

function options(rows) {
  return el("ul", { class: "options" }, ...rows);
}

function option(name, more, key, click) {
  return el("li", {}, el("button", { type: "button", class: "quiet", "data-key": key, click }, el("b", {}, name), more ? el("span", { class: "soft" }, more) : null));
}

// The history ---------------------------------------------------------------------------------------------------

const PAST_SHAPES = { PASSED: "pass", REFUSED: "refuse", UNDETERMINED: "check" };
const KINDS = ["UNIT_CANNOT_RETRIEVE", "UNIT_CANNOT_VERIFY", "CITIZEN_CANNOT_OBTAIN", "CITIZEN_CANNOT_SHOW", "DATA_WRONG"];
const MOST_WORDS = 500;

/** Who saw my certificates: the newest first, each with what was given, its receipt, and a way to object. */
class Past {
  /** `ask(method, path, body)` asks your server, `device()` gives the key's public half, `changed()` draws again,
   *  `save(receipt)` downloads one, `running()` says whether anybody still looks. */
  constructor(act) {
    this._act = act;
    this._entries = [];
    this._silent = [];
    this._earlier = null;
    this._busy = true;
    this._failure = null;
    this._open = new Set();
    this._draft = null; // {entry, kind, text, error, busy}: what the citizen has against an entry
  }

  /** Ask the four provinces; `from` is where the last look ended, null for the newest. */
  async look(from) {
    Object.assign(this, { _busy: true, _failure: null });
    if (!from) this._entries = [];
    this._act.changed();
    try {
      await this._act.ask("POST", "/history", { device: await this._act.device(), earlier: from });
      const found = await this._done();
      if (!found) return;
      this._entries = this._entries.concat(found.entries);
      Object.assign(this, { _silent: found.silent, _earlier: found.earlier });
    } catch (problem) {
      this._failure = problem;
      this._act.tell(problem);
    }
    this._busy = false;
    if (this._act.running()) this._act.changed();
  }

  async _done() {
    for (;;) {
      if (!this._act.running()) return null;
      const got = (await this._act.ask("GET", "/history")).body;
      if (got.done) return got;
      await pause(AGAIN_MS);
    }
  }

  view(say) {
    const again = button(say.t("past.again"), () => this.look(null), { class: "quiet", "data-key": "again" });
    const rest = this._failure
      ? [el("p", { class: "error", role: "alert" }, (this._failure.words(say) + " " + this._failure.next(say)).trim()), again]
      : [
          this._busy ? el("p", { class: "part", role: "status" }, say.t("past.busy")) : null,
          !this._busy && !this._entries.length ? el("p", { class: "part" }, say.t("past.none")) : null,
          !this._busy && this._earlier ? button(say.t("past.earlier"), () => this.look(this._earlier), { class: "quiet", "data-key": "earlier" }) : null,
          !this._busy && this._silent.length ? again : null,
        ];
    return [
      heading(say.t("past.title")),
      el("p", { class: "soft" }, say.t("past.lead")),
      this._silent.length && !this._busy ? el("p", { class: "note" }, say.t("past.silent")) : null,
      ...this._entries.map((each) => this._entry(each, say)),
      ...rest,
    ];
  }

  _entry(entry, say) {
    const key = entry.entry;
    const shape = PAST_SHAPES[entry.outcome] || "wait"; // what the citizen chose is no alarm
    const unit = say.named(entry, "unit") || entry.unit;
    const box = el(
      "details",
      { class: "part past" },
      el(
        "summary",
        { "data-key": "past-" + key },
        icon(shape),
        el("span", { class: shape }, el("b", {}, say.t("past." + entry.outcome) || entry.outcome), el("span", {}, unit), el("span", { class: "soft figures" }, say.when(entry.asked_at)))
      ),
      this._open.has(key) ? this._facts(entry, say) : null
    );
    box.open = this._open.has(key);
    box.addEventListener("toggle", () => {
      if (box.open === this._open.has(key)) return; // our own drawing
      if (box.open) this._open.add(key);
      else this._open.delete(key);
      this._act.changed();
    });
    return box;
  }

  _facts(entry, say) {
    const row = (term, ...what) => el("div", {}, el("dt", {}, term), el("dd", {}, ...what));
    const gave = entry.outcome === "PASSED";
    return el(
      "div",
      {},
      entry.sentence ? el("p", {}, say.side(entry.sentence)) : null,
      el(
        "dl",
        {},
        row(say.t("past.who"), windowOf(entry, say)),
        entry.way === "card" ? row(say.t("past.how"), say.t("past.card")) : null,
        row(say.t("past.for"), say.named(entry, "matter") || entry.matter, " · ", say.t("type." + entry.type) || entry.type),
        row(say.t(gave ? "past.given" : "past.wanted"), list(entry.fields.map((each) => say.named(each, "label")), gave ? "yes" : "no")),
        entry.cause ? row(say.t("past.cause"), el("q", {}, entry.cause)) : null
      ),
      entry.receipt
        ? button(say.t("end.receipt"), () => this._act.save(entry.receipt), { class: "quiet", "data-key": "receipt-" + entry.entry })
        : el("p", { class: "soft" }, say.t("past.receipt.none")),
      this._objection(entry, say)
    );
  }

  _objection(entry, say) {
    if (entry.objection) return el("p", { class: "note" }, say.t("past.objection", { number: entry.objection }));
    const draft = this._draft && this._draft.entry === entry.entry ? this._draft : null;
    if (!draft) return button(say.t("wrong.open"), () => this._object(entry), { class: "quiet", "data-key": "wrong-" + entry.entry });
    const words = el("textarea", { rows: "4", maxlength: String(MOST_WORDS), "data-key": "words", "aria-label": say.t("wrong.text") });
    words.value = draft.text;
    words.addEventListener("input", () => (draft.text = words.value));
    const submit = (event) => {
      event.preventDefault();
      this._send(entry, draft);
    };
    const error = el("p", { class: "error", role: "alert" }, draft.error ? draft.error(say) : "");
    const choose = (kind) => {
      Object.assign(draft, { kind, error: null });
      error.textContent = "";
    };
    return el(
      "form",
      { submit, novalidate: true },
      el(
        "fieldset",
        { class: "part" },
        el("legend", {}, say.t("wrong.title")),
        el("p", { class: "soft" }, say.t("wrong.lead")),
        ...KINDS.map((kind) => el("label", { class: "choice" }, radio("kind", kind, draft.kind, () => choose(kind)), el("span", {}, say.t("kind." + kind))))
      ),
      el("p", { class: "soft" }, say.t("wrong.text")),
      words,
      error,
      el("button", { "data-key": "object", disabled: draft.busy }, say.t(draft.busy ? "wrong.sending" : "wrong.send"))
    );
  }

  _object(entry) {
    this._draft = { entry: entry.entry, kind: null, text: "", error: null, busy: false };
    this._act.changed();
  }

  async _send(entry, draft) {
    if (draft.busy) return;
    const bad = /[\u0000-\u0009\u000b-\u001f\u007f]/.test(draft.text);
    draft.error = !draft.kind ? (say) => say.t("wrong.error.kind") : bad ? (say) => say.t("wrong.error.text") : null;
    draft.busy = !draft.error;
    this._act.changed();
    if (draft.error) return;
    try {
      await this._act.ask("POST", "/objection", { device: await this._act.device(), entry: entry.entry, kind: draft.kind, text: draft.text });
      const number = await this._number();
      if (number === null) return;
      entry.objection = number;
      this._draft = null;
    } catch (problem) {
      Object.assign(draft, { busy: false, error: (say) => (problem.words(say) + " " + problem.next(say)).trim() });
      this._act.tell(problem);
    }
    if (this._act.running()) this._act.changed();
  }

  async _number() {
    for (;;) {
      if (!this._act.running()) return null;
      const got = (await this._act.ask("GET", "/objection")).body;
      if (got.number) return got.number;
      await pause(AGAIN_MS);
    }
  }
}

// The element ---------------------------------------------------------------------------------------------------

const SLICE_S = 30;
const SEEN_MS = 1000; // between two looks at the state
const SLOW_MS = 5000; // the same while only an end is left to come
const RETRY_MS = 2000;
const RESEND_MS = 100000; // a signed answer lives for 120 s
const LIVE = ["OPEN", "CLAIMED", "ANSWERED", "CONSENTED", "WITHDRAWING", "UNDETERMINED"];

/**
 * <huzheng-code>. The server's state decides what stands in it:
 *
 *   OPEN  the code · CLAIMED  the sheet · ANSWERED  being checked · CONSENTED  may be withdrawn · …  the result
 *   UNDETERMINED without a result is a pause: the counter may ask again, and the consent may be withdrawn
 *
 * It works while somebody sees it: hidden, it stops asking and drops the wake lock; seen again, it renews at once.
 */
export class HuzhengCode extends HTMLElement {
  static get observedAttributes() {
    return ["lang", "large", "account", "base", "view", "express"];
  }

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    this._line = new Line();
    this._note = el("p", { class: "note", role: "status" });
    this._view = el("div", { class: "view" });
    this._says = el("p", { class: "says", "aria-live": "polite" });
    this._body = el("div", { class: "body" }, this._note, this._view, this._says);
    root.append(this._body);
    this._fetcher = null;
    this._forget();
    this._onVisibility = () => (document.hidden ? this._pause() : this._resume());
  }

  connectedCallback() {
    if (!this._styled) this._styled = dress(this);
    document.addEventListener("visibilitychange", this._onVisibility);
    this._begun = true;
    this._begin();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this._onVisibility);
    this._begun = false;
    this._pause();
  }

  /** A browser tells of every attribute that stands in the page before it connects the element: those begin nothing. */
  attributeChangedCallback(name, before, after) {
    if (!this._begun || before === after) return;
    if (name === "account" || name === "base" || name === "view") {
      this._pause();
      this._forget();
      this._begin();
    } else this._render();
  }

  /** The line to your server, (path, init) → Promise<Response>; httpFetcher(base) unless you give your own. */
  get fetcher() {
    return this._fetcher || httpFetcher(this.getAttribute("base") || "");
  }

  set fetcher(given) {
    this._fetcher = given;
  }

  /** The showing as your server last told it, or null. */
  get showing() {
    return this._state;
  }

  /** Open a new showing; the person's earlier one ends. */
  async show() {
    if (this._opening) return; // two taps are one wish
    this._opening = true;
    const round = this._round;
    await this._doing(() => this.show(), async () => {
      const device = await deviceFor(this._account());
      const got = await this._ask("POST", "/show", { device: device.jwk });
      if (round !== this._round) return; // somebody else has signed in meanwhile
      this._forget();
      this._take(got.body);
    });
    this._opening = false;
    this._resume();
  }

  /** Put the code away. */
  async stop() {
    try {
      await this._ask("POST", "/close");
    } catch (problem) {
      this._tell(problem); // scanned in this very moment: the next look shows the sheet
    }
    this._look();
  }

  // Inside: begin, pause, go on

  _forget() {
    this._round = (this._round || 0) + 1; // answers about an earlier showing come too late
    this._state = null;
    this._tag = "";
    this._data = null; // {sheet, holdings}
    this._choice = newChoice();
    this._failure = null;
    this._signed = null; // {decision, text, at}: an answer whose reply was lost is sent again as it was
    this._svg = null;
    this._renewAt = 0; // performance.now() at which the next slice has surely begun
    this._goodUntil = 0;
    this._drawn = "";
    this._twin = null; // {spaced, until}
    this._noted = 0; // minutes of a wrong clock that the page was told of
    this._past = null; // the history, while that is what is seen
    this._before = null; // agreeing beforehand, while that is what is seen
    this._stands = null; // {until, unit, matter}: what was agreed to beforehand
    this._endScan();
  }

  _account() {
    const account = this.getAttribute("account");
    if (!account) throw new Failure(null, 0, "error.key");
    if (!possible()) throw new Failure(null, 0, "error.insecure");
    return account;
  }

  /** Enter once, after this turn: a page sets several attributes, and perhaps `fetcher`, in one. */
  _begin() {
    if (this._due) return;
    this._due = Promise.resolve().then(() => {
      this._due = null;
      if (this._begun) this._enter();
    });
  }

  /** Go on with the showing that is under way, or open one. */
  async _enter() {
    if (this.getAttribute("view") === "history") {
      await this._lookBack();
      return;
    }
    const round = this._round;
    const opens = await this._doing(() => this._enter(), async () => {
      const known = await deviceOf(this._account());
      const got = await this._ask("GET", "/state");
      if (round !== this._round) return false;
      const live = LIVE.includes(got.body.state);
      if (live && known) {
        this._tag = got.tag;
        await this._read(got.body);
        if (this.hasAttribute("express")) await this._seeStands(round);
        return false;
      }
      if (this.hasAttribute("manual")) {
        this._render();
        return false;
      }
      return true;
    });
    if (opens) await this.show();
    else this._resume();
  }

  /** Who saw my certificates, in place of a showing. */
  async _lookBack() {
    await this._doing(() => this._lookBack(), async () => {
      const account = this._account();
      const past = new Past({
        ask: (method, path, body) => this._ask(method, path, body),
        device: async () => (await deviceFor(account)).jwk,
        changed: () => this._past === past && this._render(),
        running: () => this._past === past && this.isConnected,
        save: (receipt) => this._save(receipt),
        tell: (problem) => this._tell(problem),
      });
      this._past = past;
      await past.look(null);
    });
  }

  _pause() {
    clearTimeout(this._timer);
    clearInterval(this._ticking);
    this._timer = this._ticking = null;
    this._lightsOut();
  }

  _resume() {
    if (!this.isConnected || document.hidden || !this._state) return;
    if (!this._ticking) this._ticking = setInterval(() => this._tick(), 250);
    if (this._state.state === "OPEN") {
      this._renewAt = 0;
      this._lightsOn();
    }
    this._tick();
    this._look();
  }

  _tick() {
    if (!this._state || !this._ticking || document.hidden) return;
    if (this._state.state === "OPEN") {
      this._countdown();
      this._standsLeft();
    }
    if (this._state.state === "CLAIMED") this._timeLeft();
  }

  // Inside: looking

  _ask(method, path, body, tag) {
    return this._line.ask(this.fetcher, method, path, body, tag);
  }

  /** Do something that may fail; what fails stands on the screen with a button that does `again`. */
  async _doing(again, act) {
    try {
      this._failure = null;
      return await act();
    } catch (problem) {
      const failure = problem instanceof Failure ? problem : new Failure(null, 0, "error.insecure");
      this._failure = { failure, again };
      this._tell(failure);
      this._render();
      return undefined;
    }
  }

  /** One look at the state, and the next one after it. */
  async _look() {
    clearTimeout(this._timer);
    if (this._looking) return;
    this._looking = true;
    const round = this._round;
    try {
      const got = await this._ask("GET", "/state", null, this._tag);
      this._say("");
      if (got.status !== 304 && round === this._round) {
        this._tag = got.tag;
        await this._read(got.body);
      }
    } catch (problem) {
      this._say(problem.offline ? this._words().t("show.offline") : problem.words(this._words()));
    }
    this._looking = false;
    const state = this._state && this._state.state;
    clearTimeout(this._timer);
    if (this._ticking && LIVE.includes(state)) this._timer = setTimeout(() => this._look(), state === "UNDETERMINED" ? SLOW_MS : SEEN_MS);
    else if (!LIVE.includes(state)) this._pause();
  }

  async _read(showing) {
    const known = this._state;
    const newer = !known || known.showing_id !== showing.showing_id || known.version !== showing.version || known.state !== showing.state;
    const asks = showing.asked && newer && (showing.state === "CLAIMED" || !this._data);
    if (asks) this._data = (await this._ask("GET", "/sheet")).body;
    if (newer) this._take(showing);
  }

  _take(showing) {
    if (!this._state || this._state.state !== showing.state) Object.assign(this._choice, { error: null, busy: false });
    this._state = showing;
    this._render();
    const detail = { state: showing.state, version: showing.version, reason: showing.reason || null, result: showing.result || null };
    this.dispatchEvent(new CustomEvent("huzheng-state", { bubbles: true, composed: true, detail }));
  }

  _tell(failure) {
    const problem = failure.problem || {};
    const detail = {
      code: failure.message,
      sentence: failure.words(this._words()),
      next: failure.next(this._words()),
      requestId: problem.request_id || null,
      offline: failure.offline,
      facts: problem.facts || {},
    };
    this.dispatchEvent(new CustomEvent("huzheng-error", { bubbles: true, composed: true, detail }));
  }

  // Inside: the code

  async _renew() {
    if (this._asking) return;
    this._asking = true;
    this._renewAt = performance.now() + RETRY_MS;
    try {
      const got = (await this._ask("GET", "/code")).body;
      const now = performance.now();
      this._svg = picture(got.svg);
      // `refresh_in` is rounded down: a second later the next slice has surely begun. This one is good for one more.
      this._renewAt = now + (got.refresh_in + 1) * 1000;
      this._goodUntil = now + (got.refresh_in + SLICE_S) * 1000;
      this._say("");
      this._judgeClock();
      if (this._code && this._svg) fill(this._code, this._svg);
    } catch (problem) {
      if (problem.offline || problem.status >= 500) this._say(this._words().t("show.offline"));
      else this._look(); // scanned or ended: the state says which
    }
    this._asking = false;
  }

  _judgeClock() {
    const minutes = this._line.offBy();
    const say = this._words();
    this._clock.textContent = minutes ? say.t(minutes > 0 ? "clock.fast" : "clock.slow", { n: Math.abs(minutes) }) : "";
    if (minutes && minutes !== this._noted) {
      const detail = { code: "CLOCK_SKEW", sentence: this._clock.textContent, next: "", requestId: null, offline: false, facts: { minutes } };
      this.dispatchEvent(new CustomEvent("huzheng-error", { bubbles: true, composed: true, detail }));
    }
    this._noted = minutes;
  }

  _countdown() {
    const now = performance.now();
    if (now >= this._renewAt) this._renew();
    if (!this._svg || !this._code) return;
    const left = Math.max(0, Math.min(SLICE_S, (this._renewAt - now) / 1000 - 1));
    this._bar.value = left;
    this._seconds.textContent = this._words().t("show.left", { n: Math.ceil(left) });
    const stale = now >= this._goodUntil;
    this._code.hidden = stale;
    this._cover.hidden = !stale;
    this._cover.textContent = this._words().t("show.stale");
    if (this._twin) this._drawTwin();
  }

  /** The twelve digits, or the button that asks for them. */
  _drawTwin() {
    const say = this._words();
    const left = this._twin ? Math.ceil((this._twin.until - performance.now()) / 1000) : 0;
    if (left > 0 && this._twinNote) {
      this._twinNote.textContent = say.t("help.twin.note", { n: left });
    } else if (left > 0) {
      this._twinNote = el("p", { class: "soft" }, say.t("help.twin.note", { n: left }));
      fill(this._twinBox, el("p", { class: "twin figures" }, this._twin.spaced), this._twinNote);
    } else {
      this._twin = this._twinNote = null;
      fill(this._twinBox, button(say.t("help.twin"), () => this._askTwin(), { class: "quiet", "data-key": "twin" }));
    }
  }

  async _askTwin() {
    try {
      const got = (await this._ask("POST", "/twin")).body;
      this._twin = { spaced: got.spaced, until: performance.now() + got.expires_in * 1000 };
      if (this._code) this._drawTwin();
    } catch (problem) {
      this._tell(problem);
      this._say(problem.words(this._words()));
    }
  }

  async _lightsOn() {
    if (!("wakeLock" in navigator) || this._lamp) return;
    const lamp = navigator.wakeLock.request("screen");
    this._lamp = lamp;
    const dark = () => {
      if (this._lamp === lamp) this._lamp = null;
    };
    try {
      (await lamp).addEventListener("release", dark); // a browser takes it away from a hidden page
    } catch (problem) {
      dark(); // battery saver, or no permission
    }
  }

  _lightsOut() {
    const lamp = this._lamp;
    this._lamp = null;
    if (lamp) lamp.then((lock) => lock.release()).catch(() => null);
  }

  // Inside: the counter's code

  _beginScan() {
    this._scan = new Scan({
      ask: (method, path, body) => this._ask(method, path, body),
      changed: () => this._render(),
      taken: () => this._look(),
      back: () => {
        this._endScan();
        this._render();
        this._resume(); // the screen stays lit again
        this._focus('[data-key="scan"]');
      },
    });
    this._render();
  }

  _endScan() {
    if (this._scan) this._scan.stop();
    this._scan = null;
  }

  // Inside: agreeing beforehand

  _beginBefore() {
    const account = this._account();
    const before = new Before({
      ask: (method, path, body) => this._ask(method, path, body),
      device: async () => (await deviceFor(account)).jwk,
      changed: (anchor) => {
        if (this._before !== before) return;
        this._render();
        if (anchor) this._focus('[data-part="' + anchor + '"] input');
      },
      running: () => this._before === before && this.isConnected,
      good: () => Math.floor(Math.min(STANDING_LIFE_S, (Date.parse(this._state.expires_at) - Date.parse(this._state.opened_at)) / 1000) / 60),
      agree: (answer) => this._stand(account, answer),
      back: () => this._endBefore("before"),
    });
    this._before = before;
    this._render();
  }

  /** The code again, with the focus on what leads on from there. */
  _endBefore(key) {
    this._before = null;
    this._render();
    this._resume();
    this._focus('[data-key="' + key + '"]');
  }

  /** Sign for a fresh showing, which has its full time, and hand in. */
  async _stand(account, answer) {
    const before = this._before;
    let round = this._round;
    const device = await deviceOf(account);
    if (!device) throw new Failure(null, 0, "error.key");
    const opened = (await this._ask("POST", "/show", { device: device.jwk })).body;
    if (round !== this._round) return; // somebody else has signed in meanwhile
    this._forget();
    round = this._round;
    this._before = before;
    this._take(opened);
    const text = await signStanding(device, opened.who, Object.assign({ showing: opened.showing_id }, answer), this._line.now());
    const stands = (await this._ask("PUT", "/standing", { standing: text })).body;
    if (round !== this._round) return;
    this._stands = stands.stands ? stands : null;
    this._endBefore("take-back");
  }

  async _seeStands(round) {
    const stands = (await this._ask("GET", "/standing")).body;
    if (round !== this._round) return;
    this._stands = stands.stands ? stands : null;
    this._render();
  }

  async _takeBack() {
    const round = this._round;
    try {
      await this._ask("DELETE", "/standing");
      if (round === this._round) this._standsNoMore("stands.gone");
    } catch (problem) {
      this._tell(problem); // asked in this very moment: the next look shows what for
      this._say((problem.words(this._words()) + " " + problem.next(this._words())).trim());
      this._look();
    }
  }

  _standsNoMore(key) {
    this._stands = null;
    this._render();
    this._says.textContent = this._words().t(key);
    if (!this.shadowRoot.activeElement) this._focus('[data-key="before"]');
  }

  _standsLine(say) {
    const what = [this._stands.unit, this._stands.matter].map(say.side).filter(Boolean).join(" · ");
    return el(
      "section",
      { class: "part stands" },
      el("p", {}, icon("yes"), el("span", {}, say.t("stands.line", { what }))),
      el("p", { class: "stands-left figures" }),
      button(say.t("stands.back"), () => this._takeBack(), { class: "quiet", "data-key": "take-back" })
    );
  }

  /** How long it still stands: until its own end or the code's, whichever is first. */
  _standsLeft() {
    if (!this._stands) return;
    const end = Math.min(Date.parse(this._stands.until), Date.parse(this._state.expires_at));
    const seconds = Math.floor((end - this._line.now()) / 1000);
    const left = this._view.querySelector(".stands-left");
    if (seconds <= 0) this._standsNoMore("stands.over");
    else if (left) left.textContent = this._words().t("stands.left", { time: clockOf(seconds) });
  }

  // Inside: drawing

  _words() {
    const near = this.closest("[lang]");
    const lang = near ? near.getAttribute("lang") : "zh-CN";
    return speaker(/^en\b/i.test(lang) ? "en" : "zh-CN");
  }

  _say(text) {
    if (this._note.textContent !== text) this._note.textContent = text;
  }

  _render() {
    const say = this._words();
    const seen = this._past ? "PAST" : this._state ? this._state.state : "IDLE";
    const before = seen === "OPEN" && this._before;
    if (seen !== "OPEN") this._before = null; // a counter has asked meanwhile
    const now = this._failure ? "FAILED" : before ? "BEFORE " + before.step : seen === "OPEN" && this._scan ? "SCANNING" : seen;
    if (now !== "SCANNING") this._endScan();
    const focused = this.shadowRoot.activeElement ? this.shadowRoot.activeElement.getAttribute("data-key") : null;
    this._body.lang = say.lang;
    this._code = null;
    fill(this._view, ...this._viewOf(now, say));
    this._timeLeft();
    this._tick();
    if (now !== "OPEN") this._lightsOut();
    if (now !== this._drawn && this._drawn && now !== "OPEN") this._announce();
    else if (focused) this._focus('[data-key="' + CSS.escape(focused) + '"]');
    this._drawn = now;
  }

  _viewOf(now, say) {
    const sheet = this._data ? this._data.sheet : null;
    if (now === "FAILED") return this._failureView(say);
    if (now === "IDLE") return [button(say.t("show.start"), () => this.show(), { "data-key": "show" })];
    if (now === "OPEN") return this._codeView(say);
    if (now === "PAST") return this._past.view(say);
    if (now === "SCANNING") return this._scan.view(say);
    if (now.startsWith("BEFORE")) return this._before.view(say);
    if (now === "CLAIMED" && !this._data) return [el("p", { class: "soft" }, say.t("sheet.looking"))];
    if (now === "CLAIMED") {
      const act = { agree: () => this._answer("agree"), decline: () => this._answer("decline"), other: Boolean(this._stands) };
      return sheetView(this._data, this._choice, say, act);
    }
    if (now === "ANSWERED") return waitingView(say, "wait");
    if (now === "CONSENTED") return waitingView(say, "consented", this._withdrawal(say));
    if (now === "WITHDRAWING") return waitingView(say, "withdrawing");
    return endView(this._state, sheet, say, { show: () => this.show(), receipt: () => this._receipt(), paused: this._pausedView(now, say) });
  }

  /** The library was silent, and the counter may ask it again: the consent lives, and can be taken back. */
  _pausedView(now, say) {
    if (now !== "UNDETERMINED" || this._state.result || !this._data) return null;
    return el("section", { class: "part" }, el("p", {}, say.t("paused.note")), this._withdrawal(say));
  }

  _codeView(say) {
    this._code = el("div", { class: "code", role: "img", "aria-label": say.t("show.code") }, this._svg || el("span", {}, say.t("show.busy")));
    this._cover = el("p", { class: "cover", hidden: true });
    this._bar = el("progress", { max: String(SLICE_S), value: "0", "aria-label": say.t("show.left", { n: "" }).trim() });
    this._seconds = el("span", { class: "figures" });
    this._clock = el("p", { class: "clock", role: "status" });
    if (this._noted) this._judgeClock();
    this._twinBox = el("div", {});
    this._twinNote = null;
    this._drawTwin();
    const express = this.hasAttribute("express") && !this._stands;
    return [
      heading(say.t("show.title")),
      this._stands ? this._standsLine(say) : null,
      el("p", { class: "soft" }, say.t("show.lead")),
      el("div", { class: "frame" }, this._code, this._cover),
      el("p", { class: "countdown" }, this._bar, this._seconds),
      this._clock,
      el("p", { class: "soft" }, say.t(this._stands ? "stands.safe" : "show.safe")),
      el("details", { open: Boolean(this._twin) }, el("summary", {}, say.t("help.title")), el("p", { class: "soft" }, say.t("help.tips")), this._twinBox),
      express ? button(say.t("before.link"), () => this._beginBefore(), { class: "quiet", "data-key": "before" }) : null,
      button(say.t("scan.link"), () => this._beginScan(), { class: "quiet", "data-key": "scan" }),
      button(say.t("show.close"), () => this.stop(), { class: "quiet", "data-key": "close" }),
    ];
  }

  _failureView(say) {
    const failure = this._failure.failure;
    return [
      el("section", { class: "outcome refuse" }, icon("refuse"), heading(say.t("error.title")), el("p", {}, failure.words(say)), failure.problem ? el("p", { class: "soft" }, failure.next(say)) : null),
      button(say.t("error.retry"), this._failure.again, { "data-key": "retry" }),
    ];
  }

  _withdrawal(say) {
    const choice = this._choice;
    return el(
      "div",
      {},
      el("p", { class: "error", role: "alert" }, choice.error ? choice.error(say) : ""),
      button(say.t("consented.withdraw"), () => this._handIn("/withdrawal", "withdraw", {}), { class: "quiet", "data-key": "withdraw", disabled: choice.busy })
    );
  }

  _timeLeft() {
    const left = this._view.querySelector(".left");
    if (!left || !this._data) return;
    const seconds = Math.floor((Date.parse(this._data.sheet.answer_by) - this._line.now()) / 1000);
    const say = this._words();
    left.textContent = seconds > 0 ? say.t("sheet.left", { time: clockOf(seconds) }) : say.t("sheet.over");
  }

  /** A new view is said aloud and gets the focus, so that nobody has to see it to know of it. */
  _announce() {
    const title = this._view.querySelector(".title");
    if (!title) return;
    this._says.textContent = title.textContent;
    title.focus();
  }

  _focus(selector) {
    const found = this._view.querySelector(selector);
    if (found) found.focus({ preventScroll: true });
  }

  // Inside: answering

  async _answer(decision) {
    const lack = decision === "agree" ? lacking(this._data, this._choice) : null;
    if (lack) {
      this._refuse((say) => say.t("sheet.need." + lack));
      this._focus('[data-part="' + (lack === "looking" ? "certificate" : lack) + '"] input');
      return;
    }
    const agrees = decision === "agree";
    await this._handIn("/answer", decision, {
      certificate: agrees ? this._choice.certificate : null,
      digits: agrees ? this._choice.digits : null,
      declarations: agrees ? (this._data.sheet.declarations || []).map((each) => each.slug) : [],
    });
  }

  async _handIn(path, decision, content) {
    Object.assign(this._choice, { busy: true, error: null });
    this._render();
    try {
      await this._ask("POST", path, { approval: await this._sign(decision, content) });
      Object.assign(this._choice, { busy: false });
      this._look();
    } catch (problem) {
      const failure = problem instanceof Failure ? problem : new Failure(null, 0, "error.key");
      if (!failure.offline) this._signed = null;
      this._tell(failure);
      this._refuse((say) => (failure.words(say) + " " + failure.next(say)).trim());
      this._look();
    }
  }

  /** The signed answer; the same text again while it lives, because an answer whose reply was lost may have arrived. */
  async _sign(decision, content) {
    const old = this._signed;
    if (old && old.decision === decision && performance.now() - old.at < RESEND_MS) return old.text;
    const device = await deviceOf(this._account());
    if (!device || !this._state.who) throw new Failure(null, 0, "error.key");
    const whole = Object.assign({ certificate: null, digits: null, declarations: [] }, content, { req: this._data.sheet.request, decision });
    const text = await signApproval(device, this._state.who, whole, this._line.now());
    this._signed = { decision, text, at: performance.now() };
    return text;
  }

  _refuse(words) {
    Object.assign(this._choice, { busy: false, error: words });
    this._render();
  }

  async _receipt() {
    try {
      this._save((await this._ask("GET", "/receipt")).body.receipt);
    } catch (problem) {
      this._tell(problem);
      this._say(problem.words(this._words()));
    }
  }

  _save(receipt) {
    const address = URL.createObjectURL(new Blob([receipt], { type: "application/jwt" }));
    const link = el("a", { href: address, download: "huzheng-receipt.jwt" });
    this._body.append(link);
    link.click();
    this._body.removeChild(link);
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }
}

// Clothes -------------------------------------------------------------------------------------------------------

// The same text as huzheng-code.css. Pages may set --hz-accent, --hz-ink, --hz-paper and their like on the element.
const STYLE = `:host {
  --hz-ink: #16202b;
  --hz-soft: #4a5866;
  --hz-paper: #ffffff;
  --hz-mist: #f3f5f7;
  --hz-line: #8693a0;
  --hz-accent: #1d4f91;
  --hz-pass: #17693d;
  --hz-refuse: #a6192e;
  --hz-check: #8a5a00;
  --hz-small: 15px;
  --hz-text: 17px;
  --hz-strong: 20px;
  --hz-title: 26px;
  --hz-touch: 48px;
  display: block;
  max-width: 480px;
  margin: 0 auto;
  color: var(--hz-ink);
  background: var(--hz-paper);
  font: var(--hz-text) / 1.5 system-ui, "PingFang SC", "Noto Sans SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif;
  overflow-wrap: anywhere;
}
:host([large]) {
  --hz-small: 20px;
  --hz-text: 24px;
  --hz-strong: 30px;
  --hz-title: 36px;
  --hz-touch: 64px;
}
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
.body { padding: 16px; }
p { margin: 0 0 8px; }
.soft { color: var(--hz-soft); font-size: var(--hz-small); }
.strong { font-size: var(--hz-strong); font-weight: 600; margin: 0; }
.figures { font-variant-numeric: tabular-nums; }
.title { font-size: var(--hz-title); line-height: 1.3; margin: 0 0 8px; }
.title:focus { outline: none; }
.title:focus-visible { outline: 3px solid var(--hz-accent); outline-offset: 4px; }
.note:empty, .clock:empty, .error:empty { display: none; }
.note, .clock { background: #fff4dc; color: #5c3c00; border-left: 4px solid var(--hz-check); padding: 8px 12px; }
.says { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); margin: 0; }
.frame { position: relative; width: 100%; max-width: 400px; margin: 16px auto; min-height: 240px; background: #ffffff; border: 1px solid #d5dbe1; border-radius: 12px; display: flex; align-items: center; justify-content: center; overflow: hidden; }
.code { width: 100%; display: flex; align-items: center; justify-content: center; }
.code svg { display: block; margin: 0; width: 100%; height: auto; shape-rendering: crispEdges; fill: #000000; }
.cover { padding: 24px; margin: 0; text-align: center; font-weight: 600; }
.countdown { display: flex; align-items: center; justify-content: center; }
progress { width: 35%; margin-right: 12px; height: 12px; accent-color: var(--hz-accent); }
.countdown span { white-space: nowrap; }
summary { min-height: var(--hz-touch); padding: 10px 0; font-weight: 600; color: var(--hz-accent); cursor: pointer; }
.twin { font-size: var(--hz-strong); font-weight: 700; text-align: center; letter-spacing: 1px; margin: 8px 0; }
.left { font-weight: 600; }
.part { border: 0; margin: 0 0 8px; padding: 12px 16px; background: var(--hz-mist); border-radius: 12px; min-width: 0; }
.part > :last-child { margin-bottom: 0; }
h3, legend { float: none; display: block; width: 100%; margin: 0 0 4px; padding: 0; color: var(--hz-soft); font-size: var(--hz-small); font-weight: 600; }
fieldset.part { padding-top: 12px; }
fieldset.part > legend { float: left; }
fieldset.part > legend + * { clear: both; }
.window { font-size: var(--hz-title); font-weight: 700; line-height: 1.3; }
.cause { margin-top: 8px; }
.cause span { display: block; }
ul { list-style: none; margin: 0; padding: 0; }
li { display: flex; align-items: flex-start; padding: 2px 0; }
svg { flex: none; margin-right: 8px; width: 1.3em; height: 1.3em; fill: currentColor; vertical-align: text-bottom; }
.yes svg, .good { color: var(--hz-pass); }
.yes span { color: var(--hz-ink); }
.no svg { color: var(--hz-refuse); }
.bad { color: var(--hz-check); }
.choice { display: flex; align-items: center; min-height: var(--hz-touch); padding: 8px 12px; margin-top: 8px; border: 1px solid var(--hz-line); border-radius: 12px; background: var(--hz-paper); }
.choice > span > * { display: block; }
.choice input { flex: none; width: 24px; height: 24px; margin: 0 12px 0 0; accent-color: var(--hz-accent); }
.good, .bad { font-size: var(--hz-small); }
.good svg, .bad svg { margin-right: 4px; }
.digits, .two { display: flex; }
.digits > * + *, .two > * + * { margin-left: 12px; }
.digit { position: relative; flex: 1; }
.digit input { position: absolute; top: 0; left: 0; width: 100%; height: 100%; margin: 0; opacity: 0; }
.digit span { display: flex; align-items: center; justify-content: center; min-height: calc(var(--hz-touch) + 16px); border: 2px solid var(--hz-line); border-radius: 12px; background: var(--hz-paper); font-size: 32px; font-weight: 700; }
.digit input:checked + span { border-color: var(--hz-accent); background: var(--hz-accent); color: #ffffff; text-decoration: underline; }
.digit input:focus-visible + span { outline: 3px solid var(--hz-accent); outline-offset: 3px; }
button { font: inherit; font-weight: 600; width: 100%; min-height: var(--hz-touch); margin: 8px 0 0; padding: 8px 16px; border: 2px solid var(--hz-accent); border-radius: 12px; background: var(--hz-accent); color: #ffffff; cursor: pointer; }
button.quiet { background: var(--hz-paper); color: var(--hz-accent); }
button:disabled { opacity: 0.6; }
.two button { flex: 1; }
button + .soft { margin-top: 8px; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--hz-accent); outline-offset: 3px; }
.error { color: var(--hz-refuse); font-weight: 600; margin: 8px 0; }
.outcome { text-align: center; padding: 24px 8px 16px; }
.outcome > svg { margin: 0; width: 64px; height: 64px; color: var(--hz-soft); }
.outcome.pass > svg { color: var(--hz-pass); }
.outcome.refuse > svg { color: var(--hz-refuse); }
.outcome.check > svg { color: var(--hz-check); }
.options li { display: block; padding: 0; }
.options button { text-align: left; }
.options b, .options span { display: block; }
input[type="search"] { font: inherit; display: block; width: 100%; min-height: var(--hz-touch); margin: 8px 0; padding: 8px 12px; border: 1px solid var(--hz-line); border-radius: 12px; color: inherit; background: var(--hz-paper); }
.stands > p:first-child { display: flex; align-items: flex-start; font-weight: 600; }
.stands > p > svg { color: var(--hz-pass); }
.finder video { display: block; width: 100%; height: auto; }
textarea { font: inherit; display: block; width: 100%; margin: 8px 0; padding: 8px 12px; border: 1px solid var(--hz-line); border-radius: 12px; color: inherit; background: var(--hz-paper); }
textarea:focus-visible, summary:focus-visible { outline: 3px solid var(--hz-accent); outline-offset: 3px; }
.past summary { display: flex; align-items: flex-start; padding: 4px 0; color: var(--hz-ink); font-weight: 400; }
.past summary > svg { margin-top: 2px; width: 1.6em; height: 1.6em; }
.past summary > span > * { display: block; }
.past summary::after { content: ""; flex: none; margin: 8px 4px 0 auto; width: 10px; height: 10px; border: solid var(--hz-accent); border-width: 0 3px 3px 0; transform: rotate(45deg); }
.past[open] summary::after { margin-top: 14px; transform: rotate(225deg); }
.past .pass b { color: var(--hz-pass); }
.past .refuse b { color: var(--hz-refuse); }
.past .check b { color: var(--hz-check); }
dl > div { padding: 8px 0; border-bottom: 1px solid #d5dbe1; }
dl > div:last-child { border-bottom: 0; }
dt { color: var(--hz-soft); font-size: var(--hz-small); }
dd { margin: 0; }
`;

/** Dress an element: by a constructed sheet, which every CSP allows; where a browser has none, by the linked file. */
function dress(element) {
  const root = element.shadowRoot;
  if ("adoptedStyleSheets" in root && "replaceSync" in CSSStyleSheet.prototype) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    return true;
  }
  const script = document.querySelector('script[src*="huzheng-code.js"]');
  const beside = script ? script.src.replace(/huzheng-code\.js.*$/, "huzheng-code.css") : "huzheng-code.css";
  root.insertBefore(el("link", { rel: "stylesheet", href: element.getAttribute("stylesheet") || beside }), root.firstChild);
  return true;
}

/** Give the element its name. Done at import; call it yourself only for another name. */
export function define(name) {
  if (!customElements.get(name)) customElements.define(name, name === "huzheng-code" ? HuzhengCode : class extends HuzhengCode {});
}

define("huzheng-code");
