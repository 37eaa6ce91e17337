import PostgresStore
import Testing

@Suite struct ConnectionTargetTests {
  @Test func whatIsShownHasNoPassword() throws {
    let urls = [
      "postgres://u:s3cret@h1:1,h2:2/name?sslmode=require": "postgres://u@h1:1,h2:2/name",
      "postgresql://u@h/name?password=s3cret&port=5": "postgres://u@h:5/name",
      "postgres://h": "postgres://h",
      "postgres:///name?host=/run/x": "postgres:///run/x/name",
      "postgres://u:s3%40cret%2Fs3@h/name": "postgres://u@h/name",
      "postgres://u:s3#:cret@h/name": "postgres://u@h/name",
      "postgres://u@h?password=s3@cret": "postgres://u@h",
      "postgres://h/name?password=s3@cret": "postgres://h/name",
    ]
    for (url, place) in urls { #expect(try ConnectionTarget(url: url).place == place) }
  }

  @Test(arguments: [
    "postgres://u:s3cret@h:notaport:1/x", "postgres://u:s3%zz@h/x", "postgres://u:s3cret@h/x?no=1",
    "mysql://u:s3cret@h",
    "postgres:", "postgres://[::1/x",
  ])
  func aBadURLIsNotRepeated(_ url: String) {
    do {
      _ = try ConnectionTarget(url: url)
      // libpq looks at ports and hosts only when it connects.
    } catch {
      #expect(!"\(error)".contains("s3"))
    }
  }

  /// What libpq would take apart where nobody meant it, and so show a part of the password as a host or a port.
  @Test(arguments: [
    "postgres://u:s3c@s3ret@h/n", "postgres://u:s3c@s3ret@h", "postgres://u:s3c/s3ret@h/n",
    "postgres://u:s3c@s3/ret@h/n",
    "postgres://u:@s3@h/n", "postgres://u:s3?s3@h/n", "postgres://h?password=s3@cret", "postgres://u:s3cret/n",
    "postgres://h/s3@cret",
  ])
  func aPasswordThatIsNotEncodedIsRefused(_ url: String) {
    let error = #expect(throws: InvalidConnectionURL.self) { try ConnectionTarget(url: url) }
    #expect(error.map { "\($0)".contains("s3") } == false)
  }

  @Test func passwordsAreFoundInArguments() {
    func hidden(_ argument: String) -> String { ConnectionTarget.hidingSecret(in: argument) }
    #expect(hidden("--database=postgres://u:pä@h/n") == "--database=postgres://u:xxx@h/n")
    #expect(hidden("postgres://u:a@b@h/n?password=abc&x=1") == "postgres://u:xxx@h/n?password=xxx&x=1")
    #expect(hidden("postgres://u:a/b@c?d#e@h/n") == "postgres://u:xxxxxxxxx@h/n")
    #expect(hidden("postgres://u:abc/n?x=1") == "postgres://u:xxxxx?x=1")
    #expect(hidden("postgres://h:5,i:6/n?x=1") == "postgres://h:5,i:6/n?x=1")
    #expect(hidden("--to=postgres://u:a@b/c@h") == "--to=postgres://u:xxxxx@h")
    #expect(ConnectionTarget.secret(in: "postgres://u@h:5432/n?sslmode=require") == nil)
    #expect(ConnectionTarget.secret(in: "--database") == nil)
    #expect(ConnectionTarget.secret(in: "https://u:p@h/") == nil)
  }
}
