<?php
// PHP's SoapClient as a vendor would use it, from the WSDL alone. Usage: php_client.php ADDRESS ORGAN_ID TOKEN
// Prints one JSON object. Requests of package B stand in no namespace, so parameters are objects, not arrays.
[, $address, $organ, $token] = $argv;
$credentials = (object) ["OrganId" => $organ, "Token" => $token];
$result = [];

foreach (["1.1" => SOAP_1_1, "1.2" => SOAP_1_2] as $name => $version) {
    $client = new SoapClient("$address?wsdl", [
        "cache_wsdl" => WSDL_CACHE_NONE,
        "soap_version" => $version,
        "features" => SOAP_SINGLE_ELEMENT_ARRAYS,
    ]);
    $directory = $client->GetOrganizations($credentials);
    $pending = $client->GetPendingDocumentIds($credentials);
    $header = new SoapHeader("http://www.e-doc.vn/Schema/", "CheckPermission", $credentials);
    $permission = $client->__soapCall("CheckPermission", [], null, [$header]);
    $confirmed = $client->ConfirmReceived((object) ["OrganId" => $organ, "Token" => $token, "DocumentId" => 999999]);
    $result[$name] = [
        "organizations" => array_map(fn($one) => [$one->OrganId, $one->OrganName], $directory->Organizations->Organization),
        "pending" => $pending->DocumentIds->DocumentId ?? [],
        "permission" => $permission->Report->IsSuccess,
        "refusal" => $confirmed->Report->ErrorList->Error[0],
    ];
}
echo json_encode($result, JSON_UNESCAPED_UNICODE);
