//! The libraries of the language and of Kubernetes.

use serde_json::json;

use super::{all_fail, all_true};

#[test]
fn strings() {
    all_true(
        &json!({}),
        &[
            "'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo')",
            "'hello'.charAt(4) == 'o' && 'hello'.charAt(5) == ''",
            "'hello mellow'.indexOf('') == 0 && 'hello mellow'.indexOf('ello') == 1",
            "'hello mellow'.indexOf('jello') == -1 && 'hello mellow'.indexOf('ello', 2) == 7",
            "'hello mellow'.lastIndexOf('') == 12 && 'hello mellow'.lastIndexOf('ello') == 7",
            "'hello mellow'.lastIndexOf('ello', 6) == 1",
            "['hello', 'mellow'].join() == 'hellomellow' && ['a', 'b'].join('/') == 'a/b'",
            "[].join() == ''",
            "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'TacoCÆt'.upperAscii() == 'TACOCÆT'",
            "'hello hello'.replace('he', 'we') == 'wello wello'",
            "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
            "'hello hello'.replace('he', 'we', 0) == 'hello hello' && 'ab'.replace('', '_') == '_a_b_'",
            "'hello hello hello'.split(' ') == ['hello', 'hello', 'hello']",
            "'hello hello hello'.split(' ', 2) == ['hello', 'hello hello']",
            "'hello'.split(' ', 0) == [] && 'abc'.split('') == ['a', 'b', 'c']",
            "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
            "'ta©o©αT'.substring(2, 6) == '©o©α'",
            "'  \\ttrim\\n '.trim() == 'trim'",
            "strings.quote('a\"b\\n') == '\"a\\\\\"b\\\\n\"'",
            "'%s %d%%'.format([dyn('x'), 5]) == 'x 5%'",
            "'%.2f'.format([1.234]) == '1.23' && '%e'.format([1052.032911]) == '1.052033e+03'",
            "'%x %X %b %o'.format([255, 255, 5, 8]) == 'ff FF 101 10'",
            "'%s'.format([[dyn(1), 'a', 2.5, null]]) == '[1, a, 2.5, null]'",
            "'%s'.format([{'b': dyn(1), 'a': true}]) == '{a: true, b: 1}'",
            "'%s %s'.format([dyn(duration('1h')), timestamp('2023-01-01T00:00:00Z')]) \
             == '3600s 2023-01-01T00:00:00Z'",
        ],
    );
    all_fail(
        &json!({}),
        &[
            ("'a'.charAt(2)", "index out of range: 2"),
            ("'a'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
            ("'%d'.format(['x'])", "decimal clause can only be used on integers"),
            ("'%d'.format([])", "index 0 out of range"),
        ],
    );
}

#[test]
fn lists_and_sets() {
    all_true(
        &json!({ "list": [1, 2, 3] }),
        &[
            "[1, 2, 3].isSorted() && ['a', 'b', 'b'].isSorted() && ![2.0, 1.0].isSorted()",
            "[1, 3].sum() == 4 && [1.0, 3.0].sum() == 4.0 && [duration('1m')].sum() == duration('60s')",
            "[].sum() == 0 && object.list.sum() == 6",
            "[3, 1, 2].min() == 1 && ['a', 'b'].max() == 'b' && object.list.max() == 3",
            "[1, 2, 2, 3].indexOf(2) == 1 && [1, 2, 2, 3].lastIndexOf(2) == 2",
            "['a'].indexOf('b') == -1",
            "sets.contains([1, 2], [2]) && sets.contains([1], []) && !sets.contains([1], [2])",
            "sets.equivalent([1, 1, 2], [2, 1]) && sets.intersects([1, 2], [2, 3])",
            "!sets.intersects([1], [])",
        ],
    );
    all_fail(&json!({}), &[("[].max()", "max called on empty list")]);
}

#[test]
fn regular_expressions() {
    all_true(
        &json!({}),
        &[
            "'abc 123'.matches('^[a-z]+ [0-9]+$') && matches('abc', 'b') && !'abc'.matches('^b')",
            r"'abc 123'.find('\\d+') == '123' && 'abc'.find('[0-9]+') == ''",
            "'123 abc 456'.findAll('[0-9]+') == ['123', '456']",
            "'123 abc 456'.findAll('[0-9]+', 1) == ['123'] && 'abc'.findAll('[0-9]') == []",
            r"'a٣'.matches('^a\\D$') && !'٣'.matches('^\\d$')",
            r"'[x]'.matches('^[[]x[]]$') && 'a&&b'.matches('^a[&&]+b$')",
            r"'aB'.matches('(?i)^ab$') && 'a_1'.matches('^[\\w]+$') && 'x'.matches('^[[:alpha:]]$')",
        ],
    );
    all_fail(
        &json!({ "p": "(" }),
        &[
            ("'a'.matches('(')", "invalid matches argument"),
            ("'a'.matches(object.p)", "error parsing regexp"),
        ],
    );
}

#[test]
fn urls() {
    all_true(
        &json!({}),
        &[
            "isURL('https://user:pass@example.com:80/query?val=block') && isURL('/absolute-path')",
            "!isURL('https://a:b:c/') && !isURL('../relative-path') && !isURL('')",
            "url('https://example.com/').getHost() == 'example.com'",
            "url('https://example.com:80/').getHost() == 'example.com:80'",
            "url('https://[::1]:80/').getHost() == '[::1]:80'",
            "url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'",
            "url('/path').getScheme() == '' && url('/path').getPort() == ''",
            "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
            "url('https://example.com/path?k1=a&k2=b&k2=c').getQuery() == {'k1': ['a'], 'k2': ['b', 'c']}",
            "url('https://example.com/path?key with spaces=value with spaces').getQuery() \
             == {'key with spaces': ['value with spaces']}",
            "url('https://example.com/path?').getQuery() == {}",
            "url('https://a/') == url('https://a/') && url('https://a/') != url('https://b/')",
        ],
    );
    all_fail(
        &json!({}),
        &[("url('../relative')", "URL parse error during conversion from string")],
    );
}

#[test]
fn quantities() {
    all_true(
        &json!({ "limit": "100Mi" }),
        &[
            "isQuantity('1.3Gi') && !isQuantity('1,3G') && isQuantity('10000k') && !isQuantity('200K')",
            "!isQuantity('Three') && !isQuantity('Mi')",
            "quantity('50000000G').isInteger() && quantity('50k').asInteger() == 50000",
            "!quantity('9999999999999999999999999999999999999G').isInteger()",
            "quantity('50k').sub(20000).asApproximateFloat() == 30000.0",
            "quantity('50k').add(quantity('20k')) == quantity('70k')",
            "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')",
            "quantity('200M').compareTo(quantity('0.2G')) == 0",
            "quantity('50M').compareTo(quantity('50Mi')) == -1",
            "quantity(object.limit).isGreaterThan(quantity('100M'))",
            "quantity('50M').isLessThan(quantity('100M')) && sign(quantity('-1')) == -1",
        ],
    );
    all_fail(
        &json!({}),
        &[
            ("quantity('Mi')", "quantities must match the regular expression"),
            ("quantity('0.5').asInteger()", "cannot convert value to integer"),
        ],
    );
}

#[test]
fn addresses() {
    all_true(
        &json!({}),
        &[
            "isIP('127.0.0.1') && isIP('::1') && !isIP('127.0.0.256') && !isIP('::ffff:1.2.3.4')",
            "!isIP('fe80::1%eth0') && !isIP('010.0.0.1')",
            "ip('127.0.0.1').family() == 4 && ip('::1').family() == 6",
            "ip.isCanonical('127.0.0.1') && ip.isCanonical('2001:db8::abcd')",
            "!ip.isCanonical('2001:DB8::ABCD') && !ip.isCanonical('2001:db8:0:0:0:0:0:abcd')",
            "ip('0.0.0.0').isUnspecified() && ip('::1').isLoopback()",
            "ip('224.0.0.1').isLinkLocalMulticast() && ip('fe80::1').isLinkLocalUnicast()",
            "ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast()",
            "string(ip('::1')) == '::1' && ip('127.0.0.1') == ip('127.0.0.1')",
            "isCIDR('192.168.0.0/24') && !isCIDR('192.168.0.0/33') && isCIDR('::1/128')",
            "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))",
            "!cidr('192.168.0.0/24').containsIP('192.168.1.1')",
            "cidr('192.168.0.0/24').containsCIDR('192.168.0.0/25')",
            "!cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/23'))",
            "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')",
            "cidr('192.168.0.0/24').prefixLength() == 24 && cidr('::1/128').ip() == ip('::1')",
            "string(cidr('10.0.0.0/8')) == '10.0.0.0/8' && cidr('0.0.0.0/0').containsIP('1.2.3.4')",
        ],
    );
}

#[test]
fn versions() {
    all_true(
        &json!({}),
        &[
            "isSemver('1.0.0') && !isSemver('hello') && !isSemver('v1.0') && isSemver('v1.0', true)",
            "isSemver('0.1.0-alpha.1+build.5') && !isSemver('01.0.0') && isSemver('01.01.01', true)",
            "semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3",
            "semver('1.2.3').compareTo(semver('2.0.0')) == -1",
            "semver('1.0.0-alpha.1').isLessThan(semver('1.0.0')) && semver('1.0.0-2').isLessThan(semver('1.0.0-10'))",
            "semver('v1.0', true) == semver('1.0.0') && semver('1.0.0+a') == semver('1.0.0+b')",
        ],
    );
}

#[test]
fn formats() {
    all_true(
        &json!({}),
        &[
            "!format.dns1123Label().validate('my-label').hasValue()",
            "format.dns1123Label().validate('My_Label').value()[0].contains('lower case')",
            "!format.dns1123LabelPrefix().validate('my-label-').hasValue()",
            "format.named('dns1123Label').hasValue() && !format.named('nothing').hasValue()",
            "!format.named('date').value().validate('2021-01-01').hasValue()",
            "format.date().validate('2021-13-01').value() == ['invalid date']",
            "!format.datetime().validate('2021-01-01T00:00:00Z').hasValue()",
            "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
            "format.uuid().validate('123e4567').value() == ['does not match the UUID format']",
            "!format.byte().validate('aGVsbG8=').hasValue() && format.byte().validate('aGVs=').hasValue()",
            "!format.uri().validate('http://example.com').hasValue()",
            "format.labelValue().validate('-').hasValue() && !format.qualifiedName().validate('a/b').hasValue()",
        ],
    );
}

#[test]
fn authorization() {
    all_true(
        &json!({}),
        &[
            "authorizer.group('').resource('pods').namespace('default').check('create').allowed()",
            "!authorizer.group('apps').resource('deployments').check('get').allowed()",
            "authorizer.path('/healthz').check('get').allowed()",
            "authorizer.group('').resource('pods').name('a').check('get').reason() == 'get a None'",
            "authorizer.serviceAccount('default', 'sa').group('').resource('pods').check('get').reason() \
             == 'get  Some(\"sa\")'",
            "!authorizer.path('/x').check('get').errored() && authorizer.path('/x').check('get').error() == ''",
        ],
    );
    all_fail(
        &json!({}),
        &[
            ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
            ("authorizer.group('').resource('')", "resource must not be empty"),
            ("authorizer.serviceAccount('a.b', 'c')", "Invalid service account namespace"),
            ("authorizer.check('get')", "found no matching overload for 'check'"),
            (
                "[1, 2, 3].all(x, authorizer.path('/healthz').check('get').allowed())",
                "operation cancelled: actual cost limit exceeded",
            ),
        ],
    );
}
