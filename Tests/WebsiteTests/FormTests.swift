import API
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

  @Test func aCookieIsForThisHostAlone() {
    let token = SessionToken()
    let plain = SiteCookies(isSecure: false).setting(.session, to: token)
    #expect(plain == "fairdraw=\(token.text); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax")
    let secure = SiteCookies(isSecure: true).setting(.session, to: token)
    #expect(secure == "__Host-fairdraw=\(token.text); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
    #expect(SiteCookies(isSecure: true).clearing(.session).hasPrefix("__Host-fairdraw=; Path=/; Max-Age=0;"))
  }

  @Test func aCookieIsFoundAmongOthers() {
    let token = SessionToken()
    let cookies = SiteCookies(isSecure: false)
    func found(_ header: String) -> String? { cookies.token(.session, in: [.cookie: header])?.text }
    #expect(found("a=b; fairdraw=\(token.text); c=d") == token.text)
    #expect(found("fairdraw=junk; fairdraw=\(token.text)") == token.text)
    #expect(found("xfairdraw=\(token.text)") == nil)
    #expect(found("fairdraw-form=\(token.text)") == nil)
    #expect(found("fairdraw=\(token.text)0") == nil)
    #expect(found("fairdraw") == nil && found("") == nil)
    #expect(SiteCookies(isSecure: true).token(.session, in: [.cookie: "fairdraw=\(token.text)"]) == nil)
  }
}
