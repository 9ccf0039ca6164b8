printf '#include <iostream>\n#include <map>\n#include <stdexcept>\nint main(){std::map<std::string,int> m{{"b",2},{"a",1}};for(auto&e:m)std::cout<<e.first<<e.second<<std::endl;try{throw std::runtime_error("x");}catch(std::exception&e){std::cout<<e.what()<<std::endl;}}\n' >a.cc
L g++ -fno-use-linker-plugin -std=c++17 -O1 a.cc -o a
L ./a
