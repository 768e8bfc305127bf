<?php
// PHP's SoapClient on the native package, from the WSDL alone. Usage: php_native.php ADDRESS
[, $address] = $argv;
$result = [];
foreach (["1.1" => SOAP_1_1, "1.2" => SOAP_1_2] as $name => $version) {
    $client = new SoapClient("$address?wsdl", [
        "cache_wsdl" => WSDL_CACHE_NONE,
        "soap_version" => $version,
        "features" => SOAP_SINGLE_ELEMENT_ARRAYS,
    ]);
    $directory = $client->GetOrganizations();
    $pending = $client->GetPending(["Limit" => 10, "WaitSeconds" => 0]);
    try {
        $client->GetDocument(["MessageNumber" => 999999]);
        $refusal = null;
    } catch (SoapFault $fault) {
        $refusal = $fault->detail->Error;
    }
    $result[$name] = [
        "organizations" => array_map(fn($one) => [$one->OrganId, $one->OrganName], $directory->Organization),
        "pending" => array_map(fn($one) => [$one->number, $one->kind, $one->sender], $pending->Message ?? []),
        "refusal" => ["Code" => $refusal->Code, "Temporary" => $refusal->Temporary],
    ];
}
echo json_encode($result, JSON_UNESCAPED_UNICODE);
