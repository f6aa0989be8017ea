# SPDX-License-Identifier: Apache-2.0
"""Small GasLib files with every kind of element and parameter that the format knows, made up for the tests."""

NET = """<?xml version="1.0" encoding="UTF-8"?>
<!-- every element kind; the values mean nothing -->
<network xmlns="http://gaslib.zib.de/Gas" xmlns:framework="http://gaslib.zib.de/Framework"
         xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://gaslib.zib.de/Gas Gas.xsd">
  <framework:information>
    <framework:title>small</framework:title>
    <framework:type>gas</framework:type>
  </framework:information>
  <framework:nodes>
    <source id="S1" x="1" y="2" geoWGS84Long="90" geoWGS84Lat="-45" alias="north">
      <height value="10" unit="m"/>
      <pressureMin value="1" unit="barg"/>
      <pressureMax value="80" unit="bar"/>
      <flowMin value="0" unit="1000m_cube_per_hour"/>
      <flowMax value="500" unit="1000m_cube_per_hour"/>
      <gasTemperature value="10" unit="Celsius"/>
      <calorificValue value="40" unit="MJ_per_m_cube"/>
      <normDensity value="0.8" unit="kg_per_m_cube"/>
      <coefficient-A-heatCapacity value="31"/>
      <coefficient-B-heatCapacity value="-0.01"/>
      <coefficient-C-heatCapacity value="7e-5"/>
      <molarMass value="18" unit="kg_per_kmol"/>
      <pseudocriticalPressure value="46" unit="bar"/>
      <pseudocriticalTemperature value="190" unit="K"/>
    </source>
    <source id="S2">
      <normDensity value="0.7" unit="kg_per_m_cube"/>
      <gasTemperature value="300" unit="K"/>
      <molarMass value="16" unit="kg_per_kmol"/>
      <pseudocriticalPressure value="45" unit="bar"/>
      <pseudocriticalTemperature value="200" unit="K"/>
    </source>
    <sink id="T1"><height value="0" unit="meter"/><flowMax value="900" unit="1000m_cube_per_hour"/></sink>
    <sink id="T2"><height value="0" unit="meter"/></sink>
    <innode id="N1"><height value="5"/><groundKind value="clay"/></innode>
    <innode id="N2"><height value="5" unit="m"/></innode>
  </framework:nodes>
  <framework:connections>
    <pipe id="P" from="S1" to="N1" alias="">
      <flowMin value="-100" unit="1000m_cube_per_hour"/>
      <length value="2" unit="km"/>
      <diameter value="0.9" unit="m"/>
      <roughness value="0" unit="mm"/>
      <pressureMax value="84" unit="bar"/>
      <heatTransferCoefficient value="2" unit="W_per_m_square_per_K"/>
    </pipe>
    <shortPipe id="SP" from="S2" to="N1"/>
    <valve id="V" from="N1" to="N2"><pressureDifferentialMax value="12" unit="bar"/></valve>
    <controlValve id="CV" from="N2" to="T1" gasPreheaterExisting="1" internalBypassRequired="0">
      <pressureDifferentialMin value="0" unit="bar"/>
      <pressureDifferentialMax value="50" unit="bar"/>
      <pressureInMin value="1" unit="bar"/>
      <pressureOutMax value="60" unit="bar"/>
      <pressureLossIn value="0.5" unit="bar"/>
      <pressureLossOut value="0.25" unit="bar"/>
    </controlValve>
    <resistor id="R1" from="N2" to="T2"><dragFactor value="7"/><diameter value="500" unit="mm"/></resistor>
    <resistor id="R2" from="N2" to="T2"><pressureLoss value="0.1" unit="bar"/></resistor>
    <compressorStation id="CS" from="N1" to="N2" fuelGasVertex="N1" gasCoolerExisting="1">
      <dragFactorIn value="18"/><diameterIn value="900" unit="mm"/>
      <dragFactorOut value="16"/><diameterOut value="0.9" unit="m"/>
      <pressureInMin value="21" unit="bar"/>
      <pressureOutMax value="84" unit="bar"/>
    </compressorStation>
  </framework:connections>
</network>
"""

SCN = """<boundaryValue xmlns="http://gaslib.zib.de/Gas">
  <scenario id="cold">
    <scenarioProbability value="0.25"/>
    <node type="entry" id="S1">
      <pressure value="2" bound="lower" unit="bar"/>
      <pressure value="90" bound="upper" unit="bar"/>
      <contractPressureMax value="85" unit="bar"/>
      <flow value="300" bound="both" unit="1000m_cube_per_hour"/>
    </node>
    <node type="entry" id="S2"><flow value="100" bound="both" unit="1000m_cube_per_hour"/></node>
    <node type="exit" id="T1">
      <flow value="250" bound="lower" unit="1000m_cube_per_hour"/>
      <flow value="250" bound="upper" unit="1000m_cube_per_hour"/>
    </node>
    <node type="exit" id="T2"><flow value="150" bound="both" unit="1000m_cube_per_hour"/></node>
    <pipe id="P"><soilTemperature value="280" unit="K"/></pipe>
  </scenario>
  <scenario id="open">
    <node type="entry" id="S1">
      <pressure value="50" bound="both" unit="bar"/>
      <flow value="10" bound="lower" unit="1000m_cube_per_hour"/>
      <flow value="20" bound="upper" unit="1000m_cube_per_hour"/>
    </node>
    <node type="exit" id="T1"><flow value="15" bound="both" unit="1000m_cube_per_hour"/></node>
  </scenario>
</boundaryValue>
"""

# The gas turbine and its measured powers are numbers of a published GasLib .cs file (CC BY 3.0, Pfetsch et al. 2012).
CS = f"""<compressorStations xmlns="http://gaslib.zib.de/CompressorStations">
  <compressorStation id="CS">
    <compressors>
      <turboCompressor drive="turbine" id="turbo">
        <speedMin value="4340" unit="per_min"/><speedMax value="6825" unit="per_min"/>
        {"".join(f'<n_isoline_coeff_{k} value="{k}"/><eta_ad_isoline_coeff_{k} value="0.{k}"/>' for k in range(1, 10))}
        {"".join(f'<surgeline_coeff_{k} value="{k}"/><chokeline_coeff_{k} value="-{k}"/>' for k in range(1, 4))}
        <efficiencyOfChokeline value="0.72"/>
        <surgelineMeasurements>
          <measurement>
            <speed value="5000" unit="per_min"/><adiabaticHead value="41.6" unit="kJ_per_kg"/>
            <volumetricFlowrate value="1.88" unit="m_cube_per_s"/>
          </measurement>
        </surgelineMeasurements>
        <characteristicDiagramMeasurements>
          <adiabaticEfficiency value="0.78">
            <measurement>
              <speed value="5000" unit="per_min"/><adiabaticHead value="41" unit="kJ_per_kg"/>
              <volumetricFlowrate value="3600" unit="m_cube_per_hour"/>
            </measurement>
          </adiabaticEfficiency>
          <adiabaticEfficiency value="0.82">
            <measurement><speed value="5000" unit="per_min"/></measurement>
          </adiabaticEfficiency>
        </characteristicDiagramMeasurements>
      </turboCompressor>
      <pistonCompressor drive="motor" id="piston">
        <speedMin value="165" unit="per_min"/><speedMax value="330" unit="per_min"/>
        <operatingVolume value="0.5" unit="m_cube"/>
        <maximalTorque value="0" unit="kNm"/>
        <maximalCompressionRatio value="2"/>
      </pistonCompressor>
    </compressors>
    <drives>
      <gasTurbine id="turbine">
        <energy_rate_fun_coeff_1 value="27000"/><energy_rate_fun_coeff_2 value="1.83"/>
        <energy_rate_fun_coeff_3 value="2.50638780425e-19"/>
        <power_fun_coeff_1 value="218.901581627"/><power_fun_coeff_2 value="3.39006873561"/>
        <power_fun_coeff_3 value="-0.000240713587488"/><power_fun_coeff_4 value="-0.956199536368"/>
        <power_fun_coeff_5 value="-0.0210381500319"/><power_fun_coeff_6 value="1.49313052539e-06"/>
        <power_fun_coeff_7 value="-0.0378285128524"/><power_fun_coeff_8 value="3.70211499791e-05"/>
        <power_fun_coeff_9 value="-2.68548655643e-09"/>
        <specificEnergyConsumptionMeasurements>
          <measurement>
            <compressorPower value="10500" unit="kW"/><fuelConsumption value="46215" unit="kW"/>
          </measurement>
        </specificEnergyConsumptionMeasurements>
        <maximalPowerMeasurements>
          <ambientTemperature value="-5" unit="Celsius">
            <measurement><speed value="4778" unit="per_min"/><maximalPower value="11260" unit="kW"/></measurement>
            <measurement><speed value="6825" unit="per_min"/><maximalPower value="12521" unit="kW"/></measurement>
          </ambientTemperature>
        </maximalPowerMeasurements>
      </gasTurbine>
      <gasDrivenMotor id="motor">
        <energy_rate_fun_coeff_1 value="2629"/><energy_rate_fun_coeff_2 value="2.47429"/>
        <energy_rate_fun_coeff_3 value="1.37143e-05"/>
        <power_fun_coeff_1 value="230.515"/><power_fun_coeff_2 value="24.4196"/><power_fun_coeff_3 value="0.00423351"/>
      </gasDrivenMotor>
    </drives>
    <configurations>
      <configuration confId="both" nrOfSerialStages="2">
        <stage stageNr="1" nrOfParallelUnits="1"><compressor id="turbo" nominalSpeed="5200"/></stage>
        <stage stageNr="2" nrOfParallelUnits="1"><compressor id="piston" nominalSpeed="300"/></stage>
      </configuration>
      <configuration confId="one" nrOfSerialStages="1">
        <stage stageNr="1" nrOfParallelUnits="1"><compressor id="turbo" nominalSpeed="5200"/></stage>
      </configuration>
    </configurations>
  </compressorStation>
</compressorStations>
"""
