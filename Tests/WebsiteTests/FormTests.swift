import API
import Accounts
import Crypto
import HTTPTypes
import Ledger
import Testing
import Website

@Suite struct FormTests {
  private func form(_ text: String) throws -> FormFields { try FormFields(Array(text.utf8)[...]) }

  @Test func fieldsAreDecoded() throws {
    let fields = try form("name=My+game%20%26%C3%A9&mode=live&empty=")
    #expect(fields["name"] == "My game &é")
    #expect(fields["mode"] == "live")
    #expect(fields["empty"] == "" && fields["none"] == nil && fields.text("none") == "")
    #expect(try form("name=%20+a+b%0D%0A").trimmed("name") == "a b")
    #expect(try form("name=+%0A").trimmed("name") == "")
  }

  @Test(
    arguments: [
      ("name=%zz", "name has a %"), ("name=%ff", "name is not valid UTF-8"),
      ("name=a%00b", "name must not contain NUL"),
      ("name=a\0b", "name must not contain NUL"), ("name=a&mode=x&name=b", "name must be given once"),
      ("=a&=b", "a field without a name must be given once"), ("name=%C3", "name is not valid UTF-8"),
    ])
  func whatIsMalformedIsRefusedByName(text: String, reason: String) throws {
    let refusal = try #require(throws: Refusal.self) { try form(text) }
    #expect(refusal.status == 400)
    #expect(refusal.error.hasPrefix(reason), "\(refusal.error)")
  }

  @Test func rawBytesThatAreNotUTF8AreRefused() {
    #expect(throws: Refusal.self) { try FormFields(Array("name=".utf8)[...] + [0xFF, 0xFE]) }
  }

  @Test func aFormHasFewFields() throws {
    _ = try form((0..<64).map { "f\($0)=" }.joined(separator: "&"))
    #expect(throws: Refusal.self) { try form((0..<65).map { "f\($0)=" }.joined(separator: "&")) }
  }

  // MARK: Where a form comes from

  @Test(
    arguments: [
      ("https://draws.example", nil, true), ("https://draws.example", "same-origin", true),
      ("HTTPS://Draws.Example", "same-origin", true), (nil, "same-origin", true),
      ("https://evil.example", nil, false), ("https://evil.example", "cross-site", false),
      ("https://draws.example", "cross-site", false), ("https://draws.example", "same-site", false),
      ("https://draws.example.evil.example", nil, false), ("http://draws.example", nil, false),
      ("https://draws.example:444", nil, false), ("null", "same-origin", true), ("null", nil, false),
      ("null", "cross-site", false), ("null", "same-site", false), ("null", "none", false),
      (nil, "none", false), (nil, "same-site", false), (nil, nil, false), ("", nil, false),
      ("https://draws.example, https://evil.example", nil, false),
    ] as [(String?, String?, Bool)])
  func aFormMustComeFromThisSite(origin: String?, site: String?, isOwn: Bool) {
    #expect(FormGuard.isOwn(origin: origin, site: site, allowed: ["https://draws.example"]) == isOwn)
  }

  @Test(
    arguments: [
      "//evil.example", "https://evil.example", "/\\evil.example", "/dashboard/\\evil", "/dashboard//evil.example",
      "/dashboards", "/sign-in", "", "dashboard", "/dashboard\u{0}", "/dashboard/\u{E9}", "/dashboard/ x",
      "/dashboard\r\nSet-Cookie: a=b", "/dashboard/" + String(repeating: "a", count: 3000), "/dashboard/../api/ints",
      "/dashboard/..", "/dashboard/keys/../../sign-out", "/dashboard/%2e%2e/api/ints", "/dashboard/.%2E/x",
      "/dashboard/./keys", "/dashboard/..?a=b", "/dashboard/..#a", "/dashboard#/..", "//dashboard", "/Dashboard",
    ])
  func otherPagesAreNotGoneOnTo(next: String) {
    #expect(NextPage.checked(next) == "/dashboard")
  }

  @Test(arguments: [
    "/dashboard", "/dashboard/keys", "/dashboard?done=x", "/dashboard/outcomes/chain?key=1&clientSeed=%2F",
    "/dashboard/outcomes?clientSeed=/../", "/dashboard/keys/..a", "/dashboard/a..b/...",
  ])
  func pagesOfTheDashboardAreGoneOnTo(next: String) {
    #expect(NextPage.checked(next) == next)
  }

  // MARK: Cookies

  @Test func aCookieIsForThisHostAlone() throws {
    let token = try SessionToken()
    let plain = SiteCookies(SiteAddress("http://localhost")).setting(.session, to: token)
    #expect(plain == "fairdraw=\(token.text); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax")
    let https = SiteCookies(SiteAddress("https://draws.example"))
    let secure = https.setting(.session, to: token)
    #expect(secure == "__Host-fairdraw=\(token.text); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
    #expect(https.clearing(.session).hasPrefix("__Host-fairdraw=; Path=/; Max-Age=0;"))
  }

  @Test func aCookieOfASiteWithAPathIsForThePathAlone() throws {
    let token = try SessionToken()
    let cookies = SiteCookies(SiteAddress("https://example.com/y/fairdraw"))
    let set = cookies.setting(.session, to: token)
    #expect(
      set == "__Secure-fairdraw=\(token.text); Path=/y/fairdraw; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
    #expect(cookies.token(.session, in: [.cookie: "__Secure-fairdraw=\(token.text)"])?.text == token.text)
    #expect(
      SiteCookies(SiteAddress("http://h/a")).setting(.form, to: token).hasPrefix(
        "fairdraw-form=\(token.text); Path=/a;"))
  }

  @Test func aCookieIsFoundAmongOthers() throws {
    let token = try SessionToken()
    let cookies = SiteCookies(SiteAddress("http://localhost"))
    func found(_ header: String) -> String? { cookies.token(.session, in: [.cookie: header])?.text }
    #expect(found("a=b; fairdraw=\(token.text); c=d") == token.text)
    #expect(found("fairdraw=junk; fairdraw=\(token.text)") == token.text)
    #expect(found("xfairdraw=\(token.text)") == nil)
    #expect(found("fairdraw-form=\(token.text)") == nil)
    #expect(found("fairdraw=\(token.text)0") == nil)
    #expect(found("fairdraw") == nil && found("") == nil)
    let secure = SiteCookies(SiteAddress("https://localhost"))
    #expect(secure.token(.session, in: [.cookie: "fairdraw=\(token.text)"]) == nil)
  }

  // MARK: Devices

  private static let now: Milliseconds = 1_800_000_000_000
  private let devices = DeviceCookies(
    secret: SymmetricKey(data: Array("secret".utf8)), site: SiteAddress("http://localhost"))
  private let alice = EmailAddress("alice@example.com")!

  /// The name and value of a cookie that is set.
  private func pair(_ header: String) -> String { String(header.prefix { $0 != ";" }) }

  @Test func aDeviceIsKnownByItsCookieForOneEmailAddress() throws {
    let cookie = try pair(devices.setting(for: alice, at: Self.now))
    let device = try #require(devices.device(in: [.cookie: "a=b; \(cookie)"], for: alice, at: Self.now))
    #expect(device.count == 16)
    #expect(devices.device(in: [.cookie: cookie], for: EmailAddress("bob@example.com")!, at: Self.now) == nil)
    // Not even under the name that the other's has.
    let bob = EmailAddress("bob@example.com")!
    let name = try pair(devices.setting(for: bob, at: Self.now)).prefix { $0 != "=" }
    let renamed = String(name) + cookie.drop { $0 != "=" }
    #expect(devices.device(in: [.cookie: renamed], for: bob, at: Self.now) == nil)
    #expect(devices.device(in: [:], for: alice, at: Self.now) == nil)
    let again = try pair(devices.setting(for: alice, at: Self.now))
    #expect(devices.device(in: [.cookie: again], for: alice, at: Self.now) != device)
  }

  @Test func aDeviceThatWasNotMadeHereIsUnknown() throws {
    let other = DeviceCookies(secret: SymmetricKey(data: Array("other".utf8)), site: SiteAddress("http://localhost"))
    #expect(
      try devices.device(in: [.cookie: pair(other.setting(for: alice, at: Self.now))], for: alice, at: Self.now) == nil)
    let cookie = try pair(devices.setting(for: alice, at: Self.now))
    let value = cookie.firstIndex(of: "=").map { cookie.index(after: $0) } ?? cookie.endIndex
    for index in cookie[value...].indices.dropLast(2) {
      var forged = cookie
      forged.replaceSubrange(index...index, with: cookie[index] == "A" ? "B" : "A")
      #expect(devices.device(in: [.cookie: forged], for: alice, at: Self.now) == nil, "\(forged)")
    }
    for end in ["", "AAAA", "=", String(repeating: "A", count: 10_000)] {
      #expect(devices.device(in: [.cookie: String(cookie[..<value]) + end], for: alice, at: Self.now) == nil)
    }
  }

  @Test func aDeviceIsForgottenAfterAYear() throws {
    let cookie = try pair(devices.setting(for: alice, at: Self.now))
    func known(_ at: Milliseconds) -> Bool { devices.device(in: [.cookie: cookie], for: alice, at: at) != nil }
    #expect(known(Self.now + DeviceCookies.lifetime - 1) && !known(Self.now + DeviceCookies.lifetime))
  }

  @Test func aDevicesCookieGoesToTheSignInPageOnly() throws {
    #expect(
      try devices.setting(for: alice, at: Self.now).contains(
        "; Path=/sign-in; Max-Age=31536000; HttpOnly; SameSite=Lax"))
    let secure = try DeviceCookies(secret: SymmetricKey(data: [1]), site: SiteAddress("https://h/x")).setting(
      for: alice, at: Self.now)
    #expect(secure.hasPrefix("__Secure-fairdraw-device-") && secure.contains("; Path=/x/sign-in;"))
    #expect(secure.hasSuffix("; Secure"))
  }

  // MARK: Addresses

  @Test(
    arguments: [
      ("http://127.0.0.1:8080", "", "http://127.0.0.1:8080", false),
      ("https://Draws.Example", "", "https://draws.example", true),
      ("https://example.com:443/y/fairdraw", "/y/fairdraw", "https://example.com", true),
      ("http://[2001:db8::1]:80/x", "/x", "http://[2001:db8::1]", false),
    ])
  func aSiteHasAnOriginAndPerhapsAPath(url: String, base: String, origin: String, isSecure: Bool) {
    let site = SiteAddress(url)
    #expect(site.base == base && site.origin == origin && site.isSecure == isSecure)
  }
}
